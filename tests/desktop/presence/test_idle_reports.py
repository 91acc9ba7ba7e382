"""What the reports of pauses mean, and silence between them."""

from __future__ import annotations

from gpuwatch_tray.desktop.presence.idle_reports import IdleReports
from gpuwatch_tray.desktop.presence.types import Evidence, Moment, SuspendLog


def at(awake, slept=0.0):
    return Moment(awake + slept, awake)


class TestReports:
    """The meaning of the reports, each after 60 s."""

    def setup_method(self):
        self.suspends = SuspendLog()
        self.state = IdleReports(60.0, self.suspends)

    def said(self, now):
        self.suspends.observe(now)
        reading = self.state.reading("it", now, now.boot)
        return None if reading is None else (reading.evidence, reading.idle)

    def test_before_it_has_run_for_the_limit_nothing_is_known(self):
        """Its silence means input only once it would have said otherwise."""
        assert self.said(at(100)) is None
        self.state.start(at(100))
        assert self.said(at(161)) is None
        assert self.said(at(163)) == (Evidence.INPUT, 0)

    def test_idle_and_back(self):
        """Idle since the limit before the report; the next report is input, at once."""
        self.state.start(at(100))
        self.state.idle(at(161))
        assert self.said(at(175)) == (Evidence.IDLE_AT_LEAST, 74)
        self.state.active(at(180))
        assert self.said(at(180)) == (Evidence.INPUT, 0)

    def test_a_pause_after_input_is_as_long_as_it_says(self):
        """Its begin is known by the input before it, or as the first report came late after the start."""
        self.state.start(at(100))
        self.state.idle(at(170))
        assert self.said(at(175)) == (Evidence.IDLE, 65)
        self.state.start(at(200))
        self.state.idle(at(261))
        self.state.active(at(270))
        self.state.idle(at(335))
        assert self.said(at(335)) == (Evidence.IDLE, 60)

    def test_after_a_suspend_its_silence_begins_anew(self):
        """The compositor's clock stood still: until the limit has passed awake, nobody is present."""
        self.state.start(at(100))
        self.state.idle(at(170))
        self.state.active(at(180))
        assert self.said(at(200)) == (Evidence.INPUT, 0)
        assert self.said(at(205, 30_000)) is None
        assert self.said(at(266, 30_000)) is None
        assert self.said(at(268, 30_000)) == (Evidence.INPUT, 0)

    def test_who_was_idle_before_a_suspend_was_idle_through_it(self):
        """The suspend counts."""
        self.state.start(at(100))
        self.state.idle(at(170))
        assert self.said(at(175)) == (Evidence.IDLE, 65)
        assert self.said(at(176, 1000)) == (Evidence.IDLE, 1066)

    def test_a_reporter_that_ended_says_nothing_any_more(self):
        """Neither its last report nor its silence."""
        self.state.start(at(100))
        self.state.idle(at(170))
        self.state.stop()
        assert self.said(at(500)) is None
