"""Running a command of the person's: output and signals pass through, its last lines are kept."""

from gpuwatch_tray.launching.command import RunningCommand, StartError
from gpuwatch_tray.launching.tail import TailBuffer

__all__ = ["RunningCommand", "StartError", "TailBuffer"]
