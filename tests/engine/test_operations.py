"""What the person says about alerts, and that it holds on every channel, after a restart and on any clock."""

from __future__ import annotations

import pytest

from gpuwatch_tray.engine.operations import NoSuchAlertError, parse_duration
from gpuwatch_tray.model import Level
from tests.engine.bench import BUSY, CALM, DARK
from tests.support.fakes import START, process, snapshot

LONG = snapshot(process(1, 0, 4000.0), process(2, 0, 4000.0))


def told(outcome):
    """How many mails and popups came of it."""
    return len(outcome.mails), len(outcome.popups)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90", None),
        ("90s", 90),
        ("30m", 1800),
        ("90min", 5400),
        ("2h", 7200),
        (" 2 H ", 7200),
        ("1d12h", 129600),
        ("1d 12h", 129600),
        ("1.5h", 5400),
        ("1w", 604800),
        ("366d", 366 * 86400),
        ("367d", None),
        ("0m", None),
        ("-2h", None),
        ("2h later", None),
        ("for 2h", None),
        ("", None),
        ("two hours", None),
    ],
)
def test_durations(text, length):
    """A duration is numbers with units, up to a year; anything else is refused with an example."""
    if length is None:
        with pytest.raises(ValueError, match=r"expected a duration (such as 30m|of up to a year)"):
            parse_duration(text, START)
    else:
        assert parse_duration(text, START) == length


def test_tomorrow_is_a_duration():
    """`tomorrow` ends in the next morning, within a day and a half."""
    assert 0 < parse_duration("tomorrow", START) <= 36 * 3600


@pytest.mark.parametrize("name", ["1", "box/gpu_limit"])
def test_acknowledged_is_told_no_more_until_it_ends(away, name):
    """By number or fingerprint, an acknowledgement lasts over cooldowns and restarts, for this incident."""
    away.look(BUSY)
    away.deliver()
    assert away.attending.acknowledge(name) == "acknowledged: 1: 2 GPUs in use; the limit is 1"
    assert told(away.look(BUSY, 7200)) == (0, 0)
    away.restart()
    assert told(away.look(BUSY, 7200)) == (0, 0)
    away.look(CALM, 5)
    assert told(away.look(BUSY, 7200)) == (1, 1)
    assert "acknowledged" in away.history


def test_an_acknowledgement_of_what_is_over_does_nothing(away):
    """It is refused with what is active, and the next incident is told."""
    away.look(BUSY)
    away.deliver()
    away.look(CALM, 5)
    refused = r"no active alert and no rule '1' \(active: none; rules: monitor_blind, "
    with pytest.raises(NoSuchAlertError, match=refused):
        away.attending.acknowledge("1")
    assert told(away.look(BUSY, 7200)) == (1, 1)


def test_nothing_is_said_for_some_when_one_name_is_wrong(away):
    """Of several names, one that is unknown leaves all as they were."""
    away.look(BUSY)
    with pytest.raises(NoSuchAlertError):
        away.attending.snooze(3600.0, "1", "9")
    with pytest.raises(NoSuchAlertError):
        away.attending.acknowledge("1", "9")
    attention = away.store.attention()
    assert (attention.silences, attention.acknowledged) == ((), frozenset())


@pytest.mark.parametrize(
    ("names", "said"),
    [
        # everything, and what begins meanwhile
        ((), (0, 0)),
        # the rule
        (("max_etime",), (0, 0)),
        # one alert: the other is told
        (("1",), (1, 1)),
        # another rule
        (("gpu_limit",), (1, 1)),
    ],
)
def test_a_snooze_is_silence_on_every_channel(away, names, said):
    """While it lasts neither mail nor popup tells of what it covers; at its end one notice does."""
    away.look(LONG)
    away.deliver()
    away.attending.snooze(7200.0, *names)
    assert told(away.look(LONG, 3600)) == said
    away.deliver()
    assert told(away.look(LONG, 3599)) == (0, 0)
    assert told(away.look(LONG, 1)) == (1, 1)
    away.deliver()
    assert told(away.look(LONG, 5)) == (0, 0)


def test_the_end_of_a_snooze_passes_the_cooldown_once(away):
    """A short snooze that ends in the cooldown gives one notice, also when another process finds its end."""
    away.look(BUSY)
    away.deliver()
    away.attending.snooze(600.0, "1")
    away.look(BUSY, 5)
    away.restart()
    outcome = away.look(BUSY, 600)
    assert told(outcome) == (1, 1)
    assert away.history[-2:] == ["email queued: snooze-over, away", "popup shown: snooze-over"]
    away.deliver()
    away.restart()
    assert told(away.look(BUSY, 5)) == (0, 0)


def test_resuming_by_hand_gives_no_notice(away):
    """Whoever ends a snooze knows that alerts are heard again."""
    away.look(BUSY)
    away.deliver()
    away.attending.snooze(600.0)
    assert away.look(BUSY, 5).status.level is Level.SNOOZED
    assert away.attending.resume() == "all snoozes ended"
    assert away.attending.resume() == "nothing was snoozed"
    outcome = away.look(BUSY, 5)
    assert (told(outcome), outcome.status.level) == ((0, 0), Level.WARNING)
    assert told(away.look(BUSY, 600)) == (0, 0)


def test_a_snooze_during_which_it_ends_gives_no_notice(away):
    """Over before the snooze is: neither its end nor the snooze's is told."""
    away.look(BUSY)
    away.deliver()
    away.attending.snooze(600.0)
    away.look(CALM, 5)
    assert told(away.look(CALM, 600)) == (0, 0)


@pytest.mark.parametrize(
    ("move", "silent"),
    [
        ("ahead", True),
        ("back", True),
        ("reboot", True),
        ("reboot and back", False),
    ],
)
def test_a_snooze_on_a_strange_clock(away, move, silent):
    """Setting the clock neither shortens nor lengthens a snooze; set back over a boot, it is over."""
    away.look(BUSY)
    away.deliver()
    away.attending.snooze(7200.0)
    away.look(BUSY, 5)
    if "reboot" in move:
        away.clock.reboot(-7200.0 if "back" in move else 60.0)
        away.restart()
    else:
        away.clock.jump(86400.0 if move == "ahead" else -86400.0)
    outcome = away.look(BUSY, 60)
    assert (outcome.status.level is Level.SNOOZED) is silent
    assert told(outcome) == ((0, 0) if silent else (1, 1))


def test_the_face_says_until_when(away):
    """A snooze of everything stands in the status with its end, also while nothing fires."""
    away.look(CALM)
    line = away.attending.snooze(3600.0)
    status = away.look(CALM, 60).status
    assert (status.level, status.snoozed_until) == (Level.SNOOZED, START + 3600)
    assert line.startswith("everything snoozed until 20")


def test_a_snooze_never_hides_that_nothing_can_be_read(away):
    """Snoozed, the icon still says "no data"."""
    away.look(CALM)
    away.attending.snooze(3600.0)
    assert away.look(DARK, 5).status.level is Level.NO_DATA
