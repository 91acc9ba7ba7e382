"""The time without input on Windows and macOS."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.desktop.presence.types import Evidence, PresenceReading, PresenceSource
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.desktop.presence.types import Moment


TICK_WRAP = 2**32  # milliseconds (49.7 days) after which both ticks restart at 0
MAX_TICK_LEAD = 60_000  # milliseconds by which the input's tick may be ahead of the current one


class _LastInput(ctypes.Structure):
    """The structure LASTINPUTINFO."""

    _fields_ = (("cbSize", ctypes.c_uint32), ("dwTime", ctypes.c_uint32))


def seconds_between(last: int, now: int) -> float:
    """Return the seconds from tick `last` to tick `now`, each of 32 bits."""
    passed = (now - last) % TICK_WRAP
    return 0.0 if passed > TICK_WRAP - MAX_TICK_LEAD else passed / 1000


def load_dll(name: str) -> Any:
    """Load a DLL of Windows."""
    return getattr(vars(ctypes)["windll"], name)  # ctypes has it on Windows only


class LastInput(PresenceSource):
    """GetLastInputInfo, which answers at once and is asked at each check."""

    name = "GetLastInputInfo"

    def __init__(self, load: Callable[[str], Any] = load_dll) -> None:
        self._user = load("user32")
        self._kernel = load("kernel32")
        self._kernel.GetTickCount.restype = ctypes.c_uint32

    def reading(self, now: Moment) -> PresenceReading | None:
        """Return the seconds without input in this session."""
        answer = _LastInput(ctypes.sizeof(_LastInput), 0)
        if not self._user.GetLastInputInfo(ctypes.byref(answer)):
            return None
        idle = seconds_between(int(answer.dwTime), int(self._kernel.GetTickCount()))
        return PresenceReading(self.name, Evidence.IDLE, now.boot, idle)

    def state(self) -> str:
        """Explain a missing answer."""
        return _("Windows does not report it here: is this a service?")


FRAMEWORK = "/System/Library/Frameworks/ApplicationServices.framework/ApplicationServices"
HARDWARE = 1  # kCGEventSourceStateHIDSystemState: synthetic input does not count
ANY_INPUT = 2**32 - 1  # kCGAnyInputEventType


class EventSource(PresenceSource):
    """CGEventSourceSecondsSinceLastEventType, which answers at once and is asked at each check."""

    name = "CGEventSource"

    def __init__(self, load: Callable[[str], Any] = ctypes.CDLL) -> None:
        self._seconds = load(FRAMEWORK).CGEventSourceSecondsSinceLastEventType
        self._seconds.argtypes = (ctypes.c_int32, ctypes.c_uint32)
        self._seconds.restype = ctypes.c_double

    def reading(self, now: Moment) -> PresenceReading | None:
        """Return the seconds without input."""
        idle = float(self._seconds(HARDWARE, ANY_INPUT))
        if not (math.isfinite(idle) and idle >= 0):
            return None
        return PresenceReading(self.name, Evidence.IDLE, now.boot, idle)

    def state(self) -> str:
        """Explain a missing answer."""
        return _("macOS does not report it here")
