"""Layer B, the attention: acknowledged, snoozed, inhibited, one table each."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from gpuwatch_tray.alerts import Silence, SilenceScope, apply_silences, snoozed_until, until_tomorrow
from gpuwatch_tray.model import Instant, Phase, Reason, Severity
from tests.support.fakes import BOOT, START, alert

GPU, OTHER = "GPU-aaaa", "GPU-bbbb"
NOW = Instant(START, 9000.0, BOOT)
ALERT = alert("temperature", GPU)
CRITICAL = Severity.CRITICAL


def silence(scope=SilenceScope.ALL, name="", ago=60.0, seconds=3600.0):
    return Silence(scope, name, Instant(START - ago, 9000.0 - ago, BOOT), seconds)


def seen(one, *silences, acknowledged=(), now=NOW, others=()):
    """What attention makes of one alert."""
    everything = {each.fingerprint: each for each in (one, *others)}
    return apply_silences(everything, silences, set(acknowledged), now)[one.fingerprint]


@pytest.mark.parametrize(
    ("silences", "until"),
    [
        pytest.param([], None, id="nothing snoozed"),
        pytest.param([silence()], 3540, id="everything"),
        pytest.param([silence(SilenceScope.RULE, "temperature")], 3540, id="its rule"),
        pytest.param([silence(SilenceScope.RULE, "gpu_limit")], None, id="another rule"),
        pytest.param([silence(SilenceScope.ALERT, ALERT.fingerprint)], 3540, id="this alert"),
        pytest.param([silence(SilenceScope.ALERT, "box/temperature")], None, id="another alert"),
        pytest.param([silence(ago=3599.0)], 1, id="the last second"),
        pytest.param([silence(ago=3600.0)], None, id="over"),
        pytest.param(
            [silence(ago=3600.0), silence(SilenceScope.RULE, "temperature")], 3540, id="the longest counts"
        ),
    ],
)
def test_what_a_snooze_covers(silences, until):
    """A snooze covers everything, a rule or an alert, for as long as was said."""
    now = seen(ALERT, *silences)
    assert now.snoozed_until == (None if until is None else START + until)
    assert now.covered is (until is not None)


@pytest.mark.parametrize(
    ("now", "left"),
    [
        pytest.param(Instant(START - 9999, 9000.0, BOOT), 3540, id="the wall clock set back does not matter"),
        pytest.param(Instant(START + 9999, 9000.0, BOOT), 3540, id="nor set ahead"),
        pytest.param(Instant(START + 600, 30.0, "next"), 2940, id="it goes on after a reboot, by wall time"),
        pytest.param(Instant(START - 600, 30.0, "next"), 0, id="set back over a boot: it is over"),
        pytest.param(Instant(START, 9000.0 + 7200, BOOT), 0, id="a suspend counts"),
    ],
)
def test_a_snooze_on_a_strange_clock(now, left):
    """A snooze lasts as long as was said on the clock that nobody sets, and never longer."""
    assert silence().left(now) == left


@pytest.mark.parametrize(
    ("phase", "covered", "silences", "news"),
    [
        pytest.param(
            Phase.FIRING, True, [silence(ago=3600.0)], True, id="it ran out while firing: one notice"
        ),
        pytest.param(Phase.FIRING, True, [], False, id="the person resumed: no notice"),
        pytest.param(
            Phase.FIRING, True, [silence(SilenceScope.RULE, "gpu_limit", 9999.0)], False, id="another's end"
        ),
        pytest.param(Phase.FIRING, False, [silence(ago=3600.0)], False, id="told of already"),
        pytest.param(Phase.RECOVERING, True, [silence(ago=3600.0)], False, id="recovering: nothing to tell"),
        pytest.param(Phase.FIRING, True, [silence()], False, id="it runs"),
    ],
)
def test_the_end_of_a_snooze(phase, covered, silences, news):
    """A snooze that ran out gives one notice where the alert still fires; one that was ended gives none."""
    now = seen(replace(ALERT, phase=phase, covered=covered), *silences)
    assert now.news == ((Reason.SNOOZE_OVER, NOW) if news else None)


def test_the_notice_at_the_end_comes_once():
    """At the next look the same snooze, not yet forgotten, is no news again."""
    over = silence(ago=3600.0)
    first = seen(replace(ALERT, covered=True), over)
    later = Instant(START + 5, 9005.0, BOOT)
    assert seen(first, over, now=later).news == (Reason.SNOOZE_OVER, NOW)


def test_an_acknowledgement_is_of_one_incident():
    """The number is acknowledged, not the fingerprint: the next incident of it is told again."""
    assert seen(replace(ALERT, id=7), acknowledged=[7]).acknowledged
    assert not seen(replace(ALERT, id=8, acknowledged=True), acknowledged=[7]).acknowledged


@pytest.mark.parametrize(
    ("alerts", "until"),
    [
        ([], None),
        ([silence(SilenceScope.RULE, "gpu_limit")], None),
        ([silence(ago=3600.0)], None),
        ([silence(), silence(ago=10.0, seconds=60.0)], START + 3540),
    ],
)
def test_everything_is_snoozed_until(alerts, until):
    """The time that the icon shows is the end of the snooze of everything, not of a rule."""
    assert snoozed_until(alerts, NOW) == until


BLIND = alert("monitor_blind", id=9)
LOST = alert("gpu_lost", GPU, CRITICAL, id=9)


@pytest.mark.parametrize(
    ("one", "other", "by"),
    [
        pytest.param(ALERT, BLIND, "monitor_blind", id="blind mutes all"),
        pytest.param(LOST, BLIND, "monitor_blind", id="a lost GPU too"),
        pytest.param(BLIND, LOST, "", id="and is muted by none"),
        pytest.param(BLIND, BLIND, "", id="not even by itself"),
        pytest.param(ALERT, alert("monitor_blind", OTHER, id=9), "", id="blind for one GPU's processes only"),
        pytest.param(ALERT, alert("monitor_blind", GPU, CRITICAL), "", id="even for this GPU's"),
        pytest.param(ALERT, replace(BLIND, phase=Phase.PENDING), "", id="pending mutes nothing"),
        pytest.param(
            ALERT, replace(BLIND, phase=Phase.RECOVERING), "monitor_blind", id="recovering still does"
        ),
        pytest.param(ALERT, replace(BLIND, acknowledged=True), "monitor_blind", id="acknowledged too"),
        pytest.param(ALERT, LOST, "gpu_lost", id="a lost GPU mutes its others"),
        pytest.param(alert("xid", f"{GPU}/79"), LOST, "gpu_lost", id="those with a code behind the UUID too"),
        pytest.param(alert("temperature", OTHER), LOST, "", id="not another GPU's"),
        pytest.param(alert("gpu_limit"), LOST, "", id="nor those of no GPU"),
        pytest.param(alert("gpu_lost", OTHER, CRITICAL), LOST, "", id="nor another lost one"),
        pytest.param(
            alert("max_etime", "1f0c/7/start"),
            alert("gpu_lost", "1", CRITICAL),
            "",
            id="an index is no prefix",
        ),
        pytest.param(
            ALERT,
            alert("temperature_critical", GPU, CRITICAL),
            "temperature_critical",
            id="critical > warning",
        ),
        pytest.param(
            alert("a", GPU, CRITICAL), alert("b", GPU, CRITICAL), "", id="critical does not mute critical"
        ),
        pytest.param(ALERT, alert("temperature_critical", OTHER, CRITICAL), "", id="of another subject"),
        pytest.param(alert("a"), alert("b", "", CRITICAL), "", id="no subject is no common subject"),
        pytest.param(alert("a", GPU, Severity.INFO), ALERT, "", id="a warning mutes no info"),
    ],
)
def test_inhibition(one, other, by):
    """gpu_lost mutes that GPU's others, critical mutes what is less of the same subject, blind mutes all."""
    assert seen(one, others=[other]).inhibited_by == by


@pytest.mark.parametrize(
    ("now", "hours"),
    # 2026-01-07 in Berlin; 2026-03-28 is the eve of summer time: the night is an hour shorter
    [(1_767_799_668.0, 15.54), (1_774_731_600.0, 9.0)],
)
def test_until_tomorrow_is_the_next_morning(monkeypatch, now, hours):
    """Tomorrow is eight o'clock on the clock on the wall, over a change to summer time as well."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert until_tomorrow(now) / 3600 == pytest.approx(hours, abs=0.01)
    finally:
        monkeypatch.undo()
        time.tzset()
