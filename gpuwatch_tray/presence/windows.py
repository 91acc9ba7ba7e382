"""Windows' tick of the last input."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.language import _
from gpuwatch_tray.presence.decide import Evidence, PresenceReading

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.presence.clock import Moment

TICK_WRAP = 2**32  # milliseconds, 49.7 days: both ticks begin again at 0
MAX_TICK_LEAD = 60_000  # milliseconds by which the tick of the last input may be ahead of the other


class _LastInput(ctypes.Structure):
    """LASTINPUTINFO."""

    _fields_ = (("cbSize", ctypes.c_uint32), ("dwTime", ctypes.c_uint32))


def seconds_between(last: int, now: int) -> float:
    """Seconds from tick `last` to tick `now`, each of 32 bits."""
    passed = (now - last) % TICK_WRAP
    return 0.0 if passed > TICK_WRAP - MAX_TICK_LEAD else passed / 1000


def load_dll(name: str) -> Any:
    """A DLL of Windows."""
    return getattr(vars(ctypes)["windll"], name)  # ctypes has it on Windows only


class LastInput:
    """GetLastInputInfo: answers at once, so it is asked at each look."""

    name = "GetLastInputInfo"

    def __init__(self, load: Callable[[str], Any] = load_dll) -> None:
        self._user = load("user32")
        self._kernel = load("kernel32")
        self._kernel.GetTickCount.restype = ctypes.c_uint32

    def reading(self, now: Moment) -> PresenceReading | None:
        """Seconds without input in this session."""
        answer = _LastInput(ctypes.sizeof(_LastInput), 0)
        if not self._user.GetLastInputInfo(ctypes.byref(answer)):
            return None
        idle = seconds_between(int(answer.dwTime), int(self._kernel.GetTickCount()))
        return PresenceReading(self.name, Evidence.IDLE, now.boot, idle)

    def state(self) -> str:
        """Why there is no answer."""
        return _("Windows does not tell here: is this a service?")

    def close(self) -> None:
        """Nothing was started."""
