"""macOS's count of the time without input."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.language import _
from gpuwatch_tray.presence.decide import Evidence, PresenceReading, PresenceSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.presence.clock import Moment

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
        return _("macOS does not tell here")
