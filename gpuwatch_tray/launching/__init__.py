"""A command run as if it were not watched: output and signals pass through, its last lines are kept."""

from gpuwatch_tray.launching.command import CannotStart, Command
from gpuwatch_tray.launching.tail import Tail

__all__ = ["CannotStart", "Command", "Tail"]
