"""The GPUs that this host has had, by UUID: one that is missing is lost, not gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class KnownGpu:
    """
    A GPU as it was last seen at `seen` (wall time); `name` is empty where it is not known.

    A GPU that the person has `forgotten` is not missed any more, until it is seen again.
    """

    uuid: str
    index: int
    name: str
    seen: float
    forgotten: bool = False


def read_inventory(database: sqlite3.Connection) -> tuple[KnownGpu, ...]:
    """Read all GPUs, by index."""
    rows = database.execute("SELECT uuid, gpu, name, seen, forgotten FROM inventory ORDER BY gpu, uuid")
    return tuple(
        KnownGpu(uuid, index, name, seen, bool(forgotten))
        for uuid, index, name, seen, forgotten in rows.fetchall()
    )


def write_inventory(database: sqlite3.Connection, gpus: Iterable[KnownGpu]) -> None:
    """Insert or update these GPUs. Inside the caller's transaction."""
    database.executemany(
        "INSERT OR REPLACE INTO inventory (uuid, gpu, name, seen, forgotten) VALUES (?, ?, ?, ?, ?)",
        [(gpu.uuid, gpu.index, gpu.name, gpu.seen, gpu.forgotten) for gpu in gpus],
    )


def mark_gpu_forgotten(database: sqlite3.Connection, uuid: str) -> bool:
    """Mark a GPU as forgotten; return False where it is not missed. Inside the caller's transaction."""
    changed = database.execute("UPDATE inventory SET forgotten = 1 WHERE uuid = ? AND NOT forgotten", (uuid,))
    return changed.rowcount > 0
