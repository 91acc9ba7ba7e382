"""What is counted from reading to reading for metrics, whose rows are made when they are asked for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from gpuwatch_tray.model import Snapshot


class ReadingTally(Struct):
    """What one reading alone cannot tell: which was the last good one, and the Xids since `since`."""

    since: float  # wall time
    good: Snapshot | None = None
    xids: dict[tuple[str, int], int] = field(default_factory=dict)  # by UUID and code

    def add(self, snapshot: Snapshot) -> None:
        """Take the next snapshot."""
        if snapshot.problem is None:
            self.good = snapshot
        if snapshot.events:
            counts = Counter(self.xids)
            counts.update((event.uuid, event.code) for event in snapshot.events)
            self.xids = dict(counts)  # a new one: a thread that answers may be reading the old one
