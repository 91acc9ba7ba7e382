"""The sources of snapshots: NVML, a command that prints the process list, and a simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gpuwatch_tray.model import Snapshot


class Source(Protocol):
    """A source of snapshots, read by one thread at a time; what is wrong is a Snapshot with a problem."""

    @property
    def name(self) -> str:
        """The source's name, as people read it."""

    def read(self) -> Snapshot:
        """Read the present state."""

    def close(self) -> None:
        """Let go of the driver or the program; there will be no further read."""
