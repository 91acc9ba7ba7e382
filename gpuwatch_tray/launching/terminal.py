"""
A terminal for the command's output, so that it behaves as on the real one while its output is also read.

Only the output goes through it: the keyboard, Ctrl-C and job control stay with the real terminal.
"""

from __future__ import annotations

import contextlib
import os
import sys

if sys.platform != "win32":
    import fcntl
    import termios

    def open_terminal_pair(real: int) -> tuple[int, int] | None:
        """Open a terminal like `real`; return the reading and the command's side, None where it fails."""
        try:
            reading, writing = os.openpty()
        except OSError:
            return None
        with contextlib.suppress(termios.error, OSError):
            modes = termios.tcgetattr(writing)
            modes[1] &= ~termios.OPOST  # line ends pass as they are: the real terminal sees to them
            termios.tcsetattr(writing, termios.TCSANOW, modes)
        resize_terminal(real, reading)
        return reading, writing

    def resize_terminal(real: int, other: int) -> None:
        """Give the other terminal the size of the real one."""
        with contextlib.suppress(OSError):
            size = fcntl.ioctl(real, termios.TIOCGWINSZ, b"\0" * 8)
            fcntl.ioctl(other, termios.TIOCSWINSZ, size)

else:

    def open_terminal_pair(_real: int) -> tuple[int, int] | None:
        """Return None: here the command writes to the console itself, and its lines are not kept."""
        return None

    def resize_terminal(real: int, other: int) -> None:
        """Do nothing: there is no such terminal."""
