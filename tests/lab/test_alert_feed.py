"""Whether an Alertmanager can be believed, by what fires in Prometheus."""

from __future__ import annotations

from gpuwatch_tray.lab.alert_feed import FeedJudge
from gpuwatch_tray.model import FeedState

A, B, C = ("A", "h1"), ("B", "h2"), ("C", "")


def feeds(*polls):
    """What is judged of polls (what fires, what is there), one after the other."""
    judge = FeedJudge()
    return [judge.judge(*poll)[0] for poll in polls]


def test_what_fires_and_is_there_is_proof():
    """One that comes through is enough at the start; without any, nothing speaks against it."""
    assert feeds(({A}, {A})) == [FeedState.FED]
    assert feeds((set(), set())) == [FeedState.FED]
    assert feeds((set(), {B})) == [FeedState.FED]


def test_nothing_that_comes_through_is_told_at_the_second_poll():
    """A new alert is on its way for one poll; until then nothing is known."""
    assert feeds(({A}, set()), ({A}, set())) == [FeedState.UNKNOWN, FeedState.UNFED]
    assert feeds((set(), set()), ({A}, set()), ({A}, set())) == [
        FeedState.FED,
        FeedState.FED,
        FeedState.UNFED,
    ]


def test_another_prometheus_alerts_are_no_proof():
    """As many alerts of somebody else do not hide that ours do not come through."""
    assert feeds(({A}, {B, C}), ({A}, {B, C})) == [FeedState.UNKNOWN, FeedState.UNFED]


def test_what_is_dropped_on_purpose_does_not_count_while_others_come_through():
    """A relabelling that drops some alerts is not a lost Alertmanager."""
    assert feeds(*[({A, B}, {A})] * 4) == [FeedState.FED] * 4


def test_what_it_had_and_has_no_more_is_lost():
    """One that was there and still fires is missing at the second poll, whatever else is there."""
    assert feeds(({A, B}, {A, B}), ({A, B}, {A}), ({A, B}, {A})) == [
        FeedState.FED,
        FeedState.FED,
        FeedState.UNFED,
    ]


def test_it_is_fed_again_when_an_alert_comes_through():
    """No sooner: as long as the same alerts are missing it is not, and one new alert is no proof."""
    polls = [({A}, set()), ({A}, set()), ({A, B}, set()), ({A, B}, {A, B})]
    assert feeds(*polls) == [FeedState.UNKNOWN, FeedState.UNFED, FeedState.UNFED, FeedState.FED]
    assert feeds(({A}, set()), ({A}, set()), ({B}, set()), ({B}, {B}))[2:] == [FeedState.UNFED, FeedState.FED]


def test_who_cannot_be_asked_is_told_apart():
    """Neither server's silence is the other's fault."""
    assert feeds((None, {A}), ({A}, None), (None, None)) == [
        FeedState.UNKNOWN,
        FeedState.UNREACHABLE,
        FeedState.UNREACHABLE,
    ]


def test_a_watchdog_that_fires_no_more_is_no_calm():
    """A Prometheus that lost its rules has nothing that fires: with them what fired would look over."""
    judge = FeedJudge()
    watchdog, hot = ("GpuwatchWatchdog", ""), ("GpuHot", "h1")
    assert judge.judge({watchdog, hot}, {watchdog, hot})[0] is FeedState.FED
    judge.judge(set(), set())
    feed, why = judge.judge(set(), set())
    assert feed is FeedState.UNKNOWN
    assert why.startswith("GpuwatchWatchdog should always fire in Prometheus")
    assert judge.judge({watchdog}, {watchdog}) == (FeedState.FED, "")


def test_a_watchdog_that_fired_before_the_start_is_missed_too():
    """Who begins after the rules were lost has not seen it fire: Prometheus remembers that it did."""
    judge = FeedJudge()
    watchdog = ("GpuwatchWatchdog", "")
    assert judge.judge(set(), set(), {watchdog})[0] is FeedState.UNKNOWN
    assert judge.judge(set(), set(), set())[0] is FeedState.UNKNOWN
    assert judge.judge({watchdog}, {watchdog})[0] is FeedState.FED
    assert FeedJudge().judge(set(), set())[0] is FeedState.FED
