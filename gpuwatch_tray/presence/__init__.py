"""Whether the person is at the desk: away, present or unknown, and which source says so."""

from gpuwatch_tray.presence.adjustable import AdjustableDetector
from gpuwatch_tray.presence.decide import PresenceDetector
from gpuwatch_tray.presence.desktop import start_detector
from gpuwatch_tray.presence.watcher import DesktopPresence

__all__ = ["AdjustableDetector", "DesktopPresence", "PresenceDetector", "start_detector"]
