"""The lines of `watch`: each change once, nothing where only numbers move."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.app.watch_log import News, WatchLog
from gpuwatch_tray.engine.status import starting
from gpuwatch_tray.model import Level, PendingReminder, Severity, Status
from tests.support.fakes import START, alert, snapshot

CALM = Status(Level.OK, "All within limits: 1 of 4 GPUs in use", START, snapshot())
TWO_USED = alert("gpu_limit", since=START + 10, text="2 GPUs in use, the limit is 1")


def with_alerts(*alerts, at=START + 10, **facts):
    level = Level.WARNING if alerts else Level.OK
    return replace(
        CALM, at=at, alerts=alerts, level=level, headline=alerts[0].message if alerts else "fine", **facts
    )


def told(log, status):
    return [(line.word, line.text) for line in log.compare(status)]


def test_before_the_first_reading_only_notes_are_told():
    """That the GPUs are about to be read is no news; that a setting is wrong is."""
    log = WatchLog()
    assert told(log, replace(starting(START), notes=("Email is off",))) == [("note", "Email is off")]
    assert told(log, replace(CALM, notes=("Email is off",))) == [("ok", CALM.headline)]


def test_a_reading_that_does_not_come_back_is_told():
    """Without a first reading, the reason for no data is a line of its own."""
    log = WatchLog()
    assert told(log, starting(START)) == []
    late = replace(starting(START), headline="No data yet: the reading does not come back")
    assert told(log, late) == [("no data", late.headline)]
    assert told(log, late) == []


def test_an_alert_is_new_once_and_over_once():
    """Between the two, polls with other numbers say nothing."""
    log = WatchLog()
    log.compare(CALM)
    assert told(log, with_alerts(TWO_USED)) == [("new", "warning: 2 GPUs in use, the limit is 1")]
    higher = replace(TWO_USED, value=3.0, text="3 GPUs in use, the limit is 1")
    assert told(log, with_alerts(higher, at=START + 20)) == []
    over = told(log, with_alerts(at=START + 70))
    assert over == [("over", "3 GPUs in use, the limit is 1 (it lasted 1 min)"), ("ok", "fine")]
    assert told(log, with_alerts(at=START + 80)) == []


def test_what_fired_before_the_start_goes_on():
    """An alert of the state on disk is not new to the person, and is told all the same."""
    old = replace(TWO_USED, since=START - 3600)
    assert told(WatchLog(), with_alerts(old)) == [("still", "warning: 2 GPUs in use, the limit is 1")]


def test_a_second_incident_of_the_same_alert_is_new():
    """It ended and began again between two statuses."""
    log = WatchLog()
    log.compare(with_alerts(TWO_USED))
    again = replace(TWO_USED, since=START + 500)
    assert [line.news for line in log.compare(with_alerts(again, at=START + 510))] == [News.NEW]


def test_a_rise_of_severity_is_new():
    """Critical after warning is worth a line; the way back is not."""
    log = WatchLog()
    log.compare(with_alerts(TWO_USED))
    worse = replace(TWO_USED, severity=Severity.CRITICAL)
    assert told(log, with_alerts(worse)) == [("new", "critical: 2 GPUs in use, the limit is 1")]
    assert told(log, with_alerts(TWO_USED)) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"acknowledged": True}, "acknowledged"),
        ({"snoozed_until": START + 7200}, "snoozed until "),
    ],
)
def test_a_persons_answer_is_told(change, word):
    """What somebody did from the menu or another terminal shows here, once."""
    log = WatchLog()
    log.compare(with_alerts(TWO_USED))
    answered = with_alerts(replace(TWO_USED, **change))
    [(kind, text)] = [line for line in told(log, answered) if line[0] == "change"]
    assert (kind, text.startswith(word)) == ("change", True)
    assert [line for line in told(log, answered) if line[0] == "change"] == []


def test_lost_data_is_told_under_an_alert_that_fires():
    """No data is a state of its own, whatever fires."""
    log = WatchLog()
    log.compare(with_alerts(TWO_USED))
    blind = replace(with_alerts(TWO_USED), level=Level.NO_DATA, headline="No data: driver gone")
    assert told(log, blind) == [("no data", "No data: driver gone")]


def test_every_line_about_simulated_gpus_says_so():
    """A log that is read later has no heading."""
    log = WatchLog()
    simulated = replace(with_alerts(TWO_USED), snapshot=snapshot(simulated=True))
    assert all("SIMULATED" in line.text for line in log.compare(simulated))


def test_a_reminder_that_is_due_is_told_once():
    """The notice comes when it falls due, not before."""
    log = WatchLog()
    waiting = PendingReminder(3, "2", "2 GPUs are free", due=False)
    assert told(log, replace(CALM, awaited=(waiting,))) == [("ok", CALM.headline)]
    due = replace(CALM, awaited=(replace(waiting, due=True),))
    assert told(log, due) == [("notice", "2 GPUs are free")]
    assert told(log, due) == []


@given(st.lists(st.frozensets(st.integers(0, 3)), max_size=12))
def test_every_alert_that_came_is_told_new_and_over_as_often_as_it_was(firing):
    """Over any history of four alerts, coming and going lines match the changes one by one."""
    log = WatchLog()
    log.compare(CALM)
    before, changes, lines = frozenset(), [], []
    for step, current in enumerate(firing, 1):
        alerts = tuple(alert("hot", str(number), since=START, id=number) for number in sorted(current))
        lines += [line.news for line in log.compare(with_alerts(*alerts, at=START + step))]
        changes += [News.NEW] * len(current - before) + [News.OVER] * len(before - current)
        before = current
    assert [news for news in lines if news in {News.NEW, News.OVER}] == changes
