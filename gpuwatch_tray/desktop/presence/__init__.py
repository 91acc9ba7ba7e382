"""Whether the person is at the desk: away, present or unknown, and which source says so."""

from gpuwatch_tray.desktop.presence.detector import AdjustableDetector, DesktopPresence, start_detector
from gpuwatch_tray.desktop.presence.types import PresenceDetector

__all__ = ["AdjustableDetector", "DesktopPresence", "PresenceDetector", "start_detector"]
