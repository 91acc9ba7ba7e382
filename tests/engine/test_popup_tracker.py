"""The popups of evaluations: one for each rule's alerts of a poll, replaced, closed, and summed up."""

from __future__ import annotations

import pytest

from gpuwatch_tray.model import Missing, Presence, Severity, Why
from tests.engine.bench import BUSY, CALM, HEAT, Bench, at, with_heat
from tests.support.fakes import process, snapshot

BOTH = snapshot(process(1, 0, 4000.0), process(2, 0, 5000.0))
AWAY, PRESENT, UNKNOWN = Presence.AWAY, Presence.PRESENT, Presence.UNKNOWN


def titles(outcome):
    return [popup.title for popup, _ in outcome.popups]


def test_processes_over_the_limit_in_one_poll_are_one_popup(bench):
    """Each rule pops up once a poll, and the popup goes when the last of its alerts is over."""
    (popup, members), *others = bench.look(BOTH).popups
    assert (len(members), others) == (2, [])
    assert set(bench.evaluator.alerts_of_popup(popup.key)) == set(members)
    assert bench.look(snapshot(process(2, 0, 5000.0)), 5).closed_popups == ()
    assert bench.look(CALM, 5).closed_popups == (popup.key,)
    assert bench.look(CALM, 5).closed_popups == ()


def test_a_popup_that_was_not_shown_is_due_again(bench):
    """Only a popup that the desktop has taken starts the cooldown."""
    bench.screen = False
    assert len(bench.look(BUSY).popups) == 1
    bench.screen = True
    assert len(bench.look(BUSY, 5).popups) == 1
    assert bench.look(BUSY, 5).popups == ()
    assert [line for line in bench.history if line.startswith("popup")] == [
        "popup could not be shown: first",
        "popup shown: first",
    ]


def test_a_desktop_that_is_gone_is_noted_once(bench):
    """An hour without a desktop is one line of the history, not one for each poll."""
    bench.screen = False
    bench.looks(BUSY, times=50)
    assert sum(line.startswith("popup could not") for line in bench.history) == 1


def test_a_reminder_replaces_its_popup(bench):
    """After the cooldown the popup comes again under the same key."""
    (first, _), *_ = bench.look(BUSY).popups
    (second, _), *_ = bench.look(BUSY, 3600).popups
    assert first.key == second.key


def test_a_popup_whose_alert_moved_to_another_is_closed(bench):
    """Two popups of one rule that become one leave none behind."""
    (one, _), *_ = bench.look(snapshot(process(1, 0, 4000.0))).popups
    (two, _), *_ = bench.look(BOTH, 5).popups
    outcome = bench.look(BOTH, 3600)
    ((kept, members),) = outcome.popups
    assert (len(members), {kept.key, *outcome.closed_popups}) == (2, {one.key, two.key})


@pytest.mark.parametrize("word", ["acknowledge", "snooze"])
def test_a_popup_goes_when_it_has_been_answered(bench, word):
    """Acknowledged or snoozed, from wherever, the popup leaves the screen at the next look."""
    (popup, _), *_ = bench.look(BUSY).popups
    if word == "acknowledge":
        bench.attending.acknowledge("1")
    else:
        bench.attending.snooze(3600.0, "gpu_limit")
    assert bench.look(BUSY, 5).closed_popups == (popup.key,)


def test_without_a_desktop_there_are_no_popups(folder):
    """A headless loop and cron hand out none, and keep none in mind."""
    bench = Bench(folder, popups=False, resolved_popup=True)
    bench.presence = AWAY
    assert [bench.look(BUSY).popups, bench.look(CALM, 5).popups] == [(), ()]
    bench.presence = PRESENT
    assert bench.look(CALM, 5).popups == ()
    bench.close()


def test_coming_back_gives_one_summary(away):
    """What began to fire while nobody was there is one popup when somebody is back, once."""
    away.look(CALM)
    away.look(BUSY, 5)
    away.look(snapshot(process(1, 0, 4000.0)), 60)
    assert len(away.look(CALM, 5).popups) == 0
    away.presence = PRESENT
    assert titles(away.look(CALM, 5)) == ["2 alerts while you were away"]
    assert away.look(CALM, 5).popups == ()


@pytest.mark.parametrize(
    ("path", "summary"),
    [
        # the plain way
        ([AWAY, PRESENT], True),
        # unknown is not present: neither the end of an absence
        ([AWAY, UNKNOWN, UNKNOWN], False),
        # nor its beginning
        ([UNKNOWN, PRESENT], False),
        # what fires in an absence that nobody has seen end was missed
        ([AWAY, UNKNOWN, PRESENT], True),
        # nothing was missed
        ([PRESENT, PRESENT], False),
    ],
)
def test_who_is_told_of_what_was_missed(bench, path, summary):
    """The summary is for somebody who was seen to leave and is seen to be back."""
    bench.presence = path[0]
    bench.look(CALM)
    for presence in path[1:-1]:
        bench.presence = presence
        bench.look(CALM, 5)
    bench.look(BUSY, 5)  # fires while the person is where the last but one step says
    bench.presence = path[-1]
    assert [title for title in titles(bench.look(BUSY, 5)) if "while you were away" in title] == (
        ["An alert while you were away"] if summary else []
    )


@pytest.mark.parametrize("word", ["acknowledge", "snooze"])
def test_what_was_settled_from_afar_is_not_summed_up(away, word):
    """An alert that was acknowledged or snoozed over SSH is no news at the desk."""
    away.look(BUSY)
    if word == "acknowledge":
        away.attending.acknowledge("1")
    else:
        away.attending.snooze(3600.0)
    away.presence = PRESENT
    assert away.look(BUSY, 5).popups == ()


def test_the_end_is_popped_up_on_request(folder):
    """With `popup` in TELL_RESOLVED, an end that a popup had announced is told, and no other."""
    bench = Bench(folder, resolved_popup=True)
    bench.screen = False
    bench.look(BUSY)
    assert titles(bench.look(CALM, 5)) == []
    bench.screen = True
    bench.look(BUSY, 5)
    assert titles(bench.look(CALM, 5)) == ["An alert is over"]
    bench.look(BUSY, 5)  # within the cooldown: no popup
    assert titles(bench.look(CALM, 5)) == []
    bench.close()


def test_flapping_is_one_popup_that_says_so(bench):
    """The fourth raise within an hour pops up in spite of the cooldown, the fifth does not."""
    shown = []
    for _ in range(6):
        shown += bench.look(BUSY, 5).popups
        bench.looks(CALM, times=70)  # away for longer than the doubled clear time
    assert len(shown) == 2
    assert "It comes and goes" in shown[1][0].body
    assert "popup shown: flapping" in bench.history


def test_a_rise_in_severity_pops_up_at_once_and_voids_the_acknowledgement(bench, monkeypatch):
    """Acknowledged as a warning, an alert that becomes critical is told again, on the desk and by mail."""
    with_heat(monkeypatch)
    bench.restart()
    fired = bench.looks(at(90), times=7)[-1]
    assert [popup.severity for popup, _ in fired.popups] == [Severity.WARNING]
    (number,) = [alert.id for alert in bench.store.saved_state().alerts]
    bench.attending.acknowledge(str(number))
    assert bench.look(at(90), 5).status.alerts[0].acknowledged
    outcome = bench.look(at(96), 5)
    assert [popup.severity for popup, _ in outcome.popups] == [Severity.CRITICAL]
    assert len(outcome.mails) == 1
    assert not bench.look(at(96), 5).status.alerts[0].acknowledged
    assert bench.look(at(90), 5).popups == ()  # a fall is silent
    assert not bench.look(at(90), 5).mails


def test_data_that_is_missing_for_a_while_changes_nothing(bench, monkeypatch):
    """In the dark an alert neither ends nor is told again, and its popup stays."""
    with_heat(monkeypatch)
    bench.restart()
    bench.looks(at(90), times=7)
    dark = bench.looks(at(Missing(Why.ERROR, "x")), times=100)
    assert not any(outcome.changes or outcome.popups or outcome.closed_popups for outcome in dark)
    assert [alert.fingerprint for alert in dark[-1].status.alerts] == [HEAT]
