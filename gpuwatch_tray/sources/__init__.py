"""Where snapshots come from. Each source is one room here; none of them knows another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gpuwatch_tray.model import Snapshot


class Source(Protocol):
    """
    Something that can be read again and again, by one thread at a time.

    A state of the driver or of a program is never an exception: it is a Snapshot with a problem. A read may
    block for as long as the driver does. `close` takes less than a second, even while a read on another
    thread blocks.
    """

    @property
    def name(self) -> str:
        """What faces call it."""

    def read(self) -> Snapshot:
        """What there is now."""

    def close(self) -> None:
        """Let go of the driver or the program; there will be no further read."""
