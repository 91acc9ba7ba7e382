"""Which GPUs a waiting run may take: pure, over one reading after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.model import known

if TYPE_CHECKING:
    from collections.abc import Collection

    from gpuwatch_tray.model import Gpu, Instant, Snapshot


class GpuWish(Struct, frozen=True):
    """
    What a run waits for: `count` GPUs that had no compute process for `hold` seconds.

    Each must have `memory` bytes free and be at most `most_use` percent busy, where that is asked for, and be
    among the numbers `only`. What cannot be read is not free.
    """

    count: int
    hold: float
    memory: int | None = None
    most_use: float | None = None
    only: frozenset[int] | None = None


class FreeTimes:
    """For how long each GPU has been as wished."""

    def __init__(self, wish: GpuWish, gap: float) -> None:
        self._wish = wish
        self._gap = gap  # seconds between two readings after which nothing is known of the time between
        self._since: dict[str, Instant] = {}
        self._seen: Instant | None = None

    def choose(self, snapshot: Snapshot, now: Instant, claimed: Collection[str]) -> list[Gpu]:
        """Note a reading; return the GPUs to take, in the driver's order, or none where they are too few."""
        there = suitable(snapshot, self._wish)
        passed = None if self._seen is None else now.since(self._seen)
        held = self._since if passed is not None and 0 <= passed <= self._gap else {}
        self._since = {uuid: held.get(uuid, now) for uuid in there}
        self._seen = now
        long = [
            gpu
            for uuid, gpu in there.items()
            if uuid not in claimed and now.since(self._since[uuid]) >= self._wish.hold
        ]
        long.sort(key=lambda gpu: gpu.index)
        return long[: self._wish.count] if len(long) >= self._wish.count else []


def suitable(snapshot: Snapshot, wish: GpuWish) -> dict[str, Gpu]:
    """Return the GPUs (by UUID) of a reading that are as wished, leaving out for how long."""
    return {uuid: gpu for uuid, gpu in (snapshot.free_gpus or {}).items() if _fits(gpu, wish)}


def _fits(gpu: Gpu, wish: GpuWish) -> bool:
    if wish.only is not None and gpu.index not in wish.only:
        return False
    if wish.memory is not None:
        used, total = known(gpu.memory_used), known(gpu.memory_total)
        if used is None or total is None or total - used < wish.memory:
            return False
    if wish.most_use is not None:
        use = known(gpu.utilisation)
        return use is not None and use <= wish.most_use
    return True
