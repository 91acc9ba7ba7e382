"""Windows and macOS, with the system's functions played by the tests."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.desktop.presence.native import (
    ANY_INPUT,
    FRAMEWORK,
    HARDWARE,
    TICK_WRAP,
    EventSource,
    LastInput,
    seconds_between,
)
from gpuwatch_tray.desktop.presence.types import Evidence, moment

DAY = 86_400


class FakeUser:
    """user32.dll with a tick of the last input; 0 says that it cannot tell."""

    def __init__(self, tick, answer=1):
        self.tick, self.answer = tick, answer

    def GetLastInputInfo(self, reference):  # noqa: N802  # Windows' name
        info = reference._obj
        assert info.cbSize == 8  # what Windows checks
        info.dwTime = self.tick
        return self.answer


class FakeTicks:
    """GetTickCount, whose result type can be set as that of ctypes' functions."""

    restype = None

    def __init__(self, tick):
        self.tick = tick

    def __call__(self):
        return self.tick


def windows(last, now, answer=1):
    libraries = {
        "user32": FakeUser(last, answer),
        "kernel32": SimpleNamespace(GetTickCount=FakeTicks(now)),
    }
    return LastInput(libraries.__getitem__)


def test_windows_says_how_long_ago_the_last_input_was():
    """In milliseconds, which are made seconds."""
    reading = windows(100_000, 107_500).reading(moment())
    assert (reading.evidence, reading.idle) == (Evidence.IDLE, 7.5)


def test_windows_tick_wraps_after_49_days():
    """An input just before the wrap is not 49 days old just after it."""
    assert windows(TICK_WRAP - 2000, 3000).reading(moment()).idle == 5.0


def test_a_last_input_ahead_of_the_clock_is_now():
    """The two ticks are taken one after the other: a moment in the future is no 49 days ago."""
    assert windows(100_016, 100_000).reading(moment()).idle == 0.0


def test_windows_may_not_tell():
    """Then there is no reading, and the line for the doctor says so."""
    source = windows(0, 0, answer=0)
    assert source.reading(moment()) is None
    assert "does not report it" in source.state()


@given(st.integers(0, 10 * TICK_WRAP), st.floats(0, 49 * DAY))
def test_the_difference_of_two_ticks_is_the_time_between(start, passed):
    """Wherever the 32 bits wrap, for as long as they can hold."""
    end = start + round(passed * 1000)
    assert seconds_between(start % TICK_WRAP, end % TICK_WRAP) == pytest.approx(passed, abs=0.001)


def macos(seconds):
    class Function:
        """A foreign function that notes its types."""

        restype = argtypes = None

        def __call__(self, state, kind):
            assert (state, kind) == (HARDWARE, ANY_INPUT)
            assert self.restype is ctypes.c_double
            return seconds

    def load(path):
        assert path == FRAMEWORK
        return SimpleNamespace(CGEventSourceSecondsSinceLastEventType=Function())

    return EventSource(load)


def test_macos_says_how_long_ago_the_last_input_was():
    """As a double in seconds."""
    reading = macos(12.25).reading(moment())
    assert (reading.source, reading.idle) == ("CGEventSource", 12.25)


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf"), -1.0])
def test_what_is_no_time_is_no_reading(nonsense):
    """Without a window server macOS has no answer, and nobody is present by that."""
    assert macos(nonsense).reading(moment()) is None
