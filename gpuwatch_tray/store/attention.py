"""Acknowledgements and silences: written by whichever process a person uses, read by the evaluator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import Silence, SilenceScope
from gpuwatch_tray.model import Instant
from gpuwatch_tray.store.values import checked_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Attention:
    """The silences, those just run out too, and the numbers of the acknowledged incidents."""

    silences: tuple[Silence, ...] = ()
    acknowledged: frozenset[int] = frozenset()


def read_attention(database: sqlite3.Connection) -> Attention:
    """Read the silences and acknowledgements."""
    silences = database.execute("SELECT scope, name, at, uptime, boot, seconds FROM silences").fetchall()
    incidents = database.execute("SELECT incident FROM acknowledgements").fetchall()
    with checked_rows():
        return Attention(
            tuple(
                Silence(SilenceScope(scope), name, Instant(at, uptime, boot), seconds)
                for scope, name, at, uptime, boot, seconds in silences
            ),
            frozenset(number for (number,) in incidents),
        )


def add_acknowledgements(database: sqlite3.Connection, ids: Iterable[int], at: float) -> None:
    """Record acknowledgements. Inside the caller's transaction, as all below."""
    database.executemany(
        "INSERT OR REPLACE INTO acknowledgements (incident, at) VALUES (?, ?)",
        [(number, at) for number in ids],
    )


def remove_acknowledgements(database: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Delete acknowledgements."""
    database.executemany("DELETE FROM acknowledgements WHERE incident = ?", [(number,) for number in ids])


def add_silence(database: sqlite3.Connection, silence: Silence) -> None:
    """Store a silence in place of an earlier one of the same alerts."""
    at = silence.at
    database.execute(
        "INSERT OR REPLACE INTO silences (scope, name, at, uptime, boot, seconds) VALUES (?, ?, ?, ?, ?, ?)",
        (silence.scope.value, silence.name, at.wall, at.uptime, at.boot, silence.seconds),
    )


def remove_silences(database: sqlite3.Connection, silences: Iterable[Silence]) -> None:
    """Delete silences that are over, unless another one of the same alerts has begun meanwhile."""
    database.executemany(
        "DELETE FROM silences WHERE scope = ? AND name = ? AND at = ? AND uptime = ?",
        [(silence.scope.value, silence.name, silence.at.wall, silence.at.uptime) for silence in silences],
    )


def remove_all_silences(database: sqlite3.Connection) -> int:
    """Delete every silence; return how many there were."""
    return database.execute("DELETE FROM silences").rowcount
