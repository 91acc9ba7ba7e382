"""The names in the samples, and the numbers that stand for them: GPUs, users and process runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.model import GpuFacts, ProcessRun

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


UNKNOWN_USER = 0  # the number of an unknown user
RUN_COLUMNS = "key, pid, uuid, owner, mine, name, started, computes, first, last"


class NameDictionary:
    """
    Numbers to names and back, over one connection; an unknown number of a GPU or user raises KeyError.

    A new name gets its number in the transaction that is open: after one that failed a new one is needed.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._gpus: dict[str, int] = dict(database.execute("SELECT uuid, id FROM gpus").fetchall())
        self._users: dict[str | None, int] = dict(database.execute("SELECT name, id FROM users").fetchall())
        self._users[None] = UNKNOWN_USER
        self._runs: dict[str, int] = {}
        self._gpu_names = {number: uuid for uuid, number in self._gpus.items()}
        self._user_names = {number: name for name, number in self._users.items()}
        self._run_names: dict[int, str | None] = {}

    def gpu(self, uuid: str) -> int:
        """Return the number of a GPU, or of the unknown device (an empty UUID)."""
        if uuid not in self._gpus:
            insert = "INSERT INTO gpus (uuid) VALUES (?) ON CONFLICT DO UPDATE SET uuid = uuid RETURNING id"
            (number,) = self._database.execute(insert, (uuid,)).fetchone()
            self._gpus[uuid], self._gpu_names[number] = number, uuid
        return self._gpus[uuid]

    def user(self, name: str | None) -> int:
        """Return the number of a user."""
        if name not in self._users:
            insert = "INSERT INTO users (name) VALUES (?) ON CONFLICT DO UPDATE SET name = name RETURNING id"
            (number,) = self._database.execute(insert, (name,)).fetchone()
            self._users[name], self._user_names[number] = number, name
        return self._users[name]

    def run(self, key: str) -> int | None:
        """Return the number of a process run; None where it is not stored (any more)."""
        if key not in self._runs:
            row = self._database.execute("SELECT id FROM runs WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            self._runs[key] = row[0]
        return self._runs[key]

    def gpu_of(self, number: int) -> str:
        """Return the UUID of a GPU."""
        return self._gpu_names[number]

    def user_of(self, number: int) -> str | None:
        """Return the name of a user; None for an unknown one."""
        return self._user_names[number]

    def run_of(self, number: int) -> str | None:
        """Return the key of a process run; None where it is not stored any more."""
        if number not in self._run_names:
            row = self._database.execute("SELECT key FROM runs WHERE id = ?", (number,)).fetchone()
            self._run_names[number] = None if row is None else row[0]
        return self._run_names[number]

    def record_gpus(self, gpus: Iterable[GpuFacts]) -> None:
        """Store the facts of these GPUs; what is unknown now may have been known before."""
        for gpu in gpus:
            facts = (gpu.index, gpu.name, gpu.memory_total, gpu.slowdown_at, gpu.physical, self.gpu(gpu.uuid))
            self._database.execute(
                "UPDATE gpus SET gpu = ?, name = coalesce(?, name), memory_total = coalesce(?, memory_total),"
                " slowdown_at = coalesce(?, slowdown_at), physical = ? WHERE id = ?",
                facts,
            )

    def record_runs(self, runs: Iterable[ProcessRun]) -> None:
        """Store these process runs, as far as they are known."""
        marks = ", ".join("?" * (RUN_COLUMNS.count(",") + 1))
        for run in runs:
            (number,) = self._database.execute(
                f"INSERT INTO runs ({RUN_COLUMNS}) VALUES ({marks}) ON CONFLICT DO UPDATE SET"
                " owner = coalesce(excluded.owner, owner), mine = coalesce(excluded.mine, mine),"
                " name = coalesce(excluded.name, name), started = coalesce(excluded.started, started),"
                " computes = max(computes, excluded.computes), first = min(first, excluded.first),"
                " last = max(last, excluded.last) RETURNING id",
                (
                    *(run.key, run.pid, run.uuid, run.user, run.mine, run.name, run.started),
                    *(run.computes, run.first, run.last),
                ),
            ).fetchone()
            self._runs[run.key], self._run_names[number] = number, run.key

    def is_recorded(self, run: ProcessRun) -> bool:
        """Return whether the run was stored since this dictionary was made."""
        return run.key in self._runs

    def extend_runs(self, keys: Iterable[str | None], start: int, end: int) -> None:
        """Extend these runs from `start` to `end`: a program that was killed could not store that."""
        self._database.executemany(
            "UPDATE runs SET last = ? WHERE key = ? AND last < ?", [(end, key, start) for key in keys]
        )


def read_gpus(database: sqlite3.Connection) -> tuple[GpuFacts, ...]:
    """Read the GPUs that have been seen, by index; the boards before their MIG devices."""
    rows = database.execute(
        "SELECT uuid, gpu, name, memory_total, slowdown_at, physical FROM gpus WHERE gpu IS NOT NULL"
        " ORDER BY gpu, physical, uuid"
    )
    return tuple(GpuFacts(*row) for row in rows.fetchall())


def read_runs(database: sqlite3.Connection, start: float, end: float) -> list[ProcessRun]:
    """Read the process runs between `start` and `end`, as far as they are stored."""
    rows = database.execute(
        f"SELECT {RUN_COLUMNS} FROM runs WHERE last >= ? AND first < ? ORDER BY first, key",
        (start, end),
    )
    return [
        ProcessRun(
            key, pid, uuid, owner, None if mine is None else bool(mine), name, started, bool(computes), *seen
        )
        for key, pid, uuid, owner, mine, name, started, computes, *seen in rows.fetchall()
    ]
