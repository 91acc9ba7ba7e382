"""No hold is starved by the pace of the evaluations: short and long polls, slow readings, hangs."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.app.bootstrap import create_engine
from gpuwatch_tray.app.context import RunContext, SourceKind
from gpuwatch_tray.app.monitor import HOUSEKEEP_EVERY, Monitor, Outputs
from gpuwatch_tray.model import FaultLimits, Gpu, HeatLimits, Limits, UseLimits
from gpuwatch_tray.settings import Settings
from gpuwatch_tray.store import Store
from tests.support.fakes import Clock, process, snapshot

HOT = snapshot(
    process(1, 0, identity="1", memory=8 << 30),
    gpus=(Gpu(0, "GPU-0000", "Test GPU", temperature=95, utilisation=3, slowdown_at=98),),
)


class Timeline:
    """A Monitor in made-up time: readings that take their time, and the housekeeper's rounds meanwhile."""

    def __init__(self, folder, limits, poll, phase=0.5):
        self.poll = poll
        self.clock, self.monotonic = Clock(), Clock(0.0)
        setup = RunContext(
            Settings(Path("/c"), folder, limits=replace(limits, poll=poll), poll=poll),
            (),
            SourceKind.NVML,
            "box",
            "ada",
        )
        self.store = Store(folder, "box")
        engine = create_engine(setup, self.store, self.clock.instant)
        self.monitor = Monitor(setup, self, engine, Outputs(lambda _status: None), self.monotonic)
        self.now, self.round_at = 0.0, phase

    name = "test"

    def read(self):
        return HOT

    def advance(self, seconds):
        """Let time pass, with the housekeeper's rounds in it."""
        end = self.now + seconds
        while self.round_at <= end:
            self._pass(self.round_at)
            self.round_at += self.monitor.housekeep()
        self._pass(end)

    def _pass(self, until):
        self.clock.advance(until - self.now)
        self.monotonic.advance(until - self.now)
        self.now = until

    def readings(self, seconds, took):
        """Read for so long, each reading taking `took`."""
        until = self.now + seconds
        while self.now < until:
            self.advance(took)
            self.monitor._poller.tick()
            self.advance(max(0.0, self.poll - took))

    @property
    def rules(self):
        return {alert.rule for alert in self.monitor.status.alerts}


@pytest.mark.parametrize("poll", [0.2, 0.3, 1.0, 1.6, 1.7, 2.0, 5.0])
def test_a_hung_driver_is_told_however_short_the_poll(tmp_path, poll):
    """POLL_SEC=0.3 and BLIND_SEC=5: the evaluations every 5 s are the pace, not gaps."""
    line = Timeline(tmp_path, Limits(faults=FaultLimits(blind_hold=5.0)), poll)
    line.readings(5 * poll, 0.05)
    line.advance(max(5.0, 3 * poll) + max(5.0, 3 * poll) + 7.0)
    assert line.rules == {"monitor_blind"}
    line.store.close()


@settings(max_examples=60, deadline=None)
@given(
    poll=st.floats(0.2, 30.0),
    hold=st.floats(1.0, 120.0),
    phase=st.floats(0.0, 1.0),
    took=st.floats(0.01, 0.15),
)
def test_every_hang_fires_after_its_hold(poll, hold, phase, took):
    """Whatever POLL_SEC and BLIND_SEC: stale, then the hold, then at most two evaluations more."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        limits = Limits(faults=FaultLimits(blind_hold=hold))
        line = Timeline(Path(folder), limits, poll, phase)
        line.readings(3 * poll, took)
        line.advance(max(5.0, 3 * poll) + max(hold, 3 * poll) + 2 * 6.0 + HOUSEKEEP_EVERY)
        assert "monitor_blind" in line.rules
        line.store.close()


@settings(max_examples=40, deadline=None)
@given(
    poll=st.floats(0.5, 20.0),
    slow=st.floats(0.05, 60.0),
    hold=st.floats(1.0, 300.0),
    phase=st.floats(0.0, 1.0),
)
def test_no_hold_is_starved_by_slow_readings(poll, slow, hold, phase):
    """A condition that every reading shows fires after its hold and a few readings, be they ever so slow."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        limits = Limits(
            heat=HeatLimits(warn_at=90, warn_hold=hold),
            use=UseLimits(idle_hold=hold, idle_memory=1 << 30),
        )
        line = Timeline(Path(folder), limits, poll, phase)
        pace = max(poll, slow)
        readings = math.ceil(hold / pace) + 6
        line.readings(readings * pace, slow)
        assert {"temperature", "idle_holding"} <= line.rules
        line.store.close()
