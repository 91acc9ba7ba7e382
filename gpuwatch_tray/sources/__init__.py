"""The sources of snapshots: NVML, a command that prints the process list, and a simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gpuwatch_tray.model import Snapshot


class Source(Protocol):
    """
    A source of snapshots, read again and again by one thread at a time.

    A state of the driver or of a program is never an exception: it is a Snapshot with a problem. A read may
    block for as long as the driver does. `close` takes less than a second, even while a read on another
    thread blocks.
    """

    @property
    def name(self) -> str:
        """The source's name, as people read it."""

    def read(self) -> Snapshot:
        """Read the present state."""

    def close(self) -> None:
        """Let go of the driver or the program; there will be no further read."""
