"""Values as the tables hold them, and the error for rows that this program cannot have written."""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpuwatch_tray.model import Instant

if TYPE_CHECKING:
    from collections.abc import Iterator


class UnreadableRowError(sqlite3.DatabaseError):
    """A row that this program cannot have written: the file is damaged, although SQLite does not notice."""


@contextmanager
def checked_rows() -> Iterator[None]:
    """Raise UnreadableRowError where a value that was read cannot be parsed."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableRowError(f"a row makes no sense: {error}") from error


def instant_to_json(instant: Instant | None) -> str | None:
    """Return an instant as one text."""
    return None if instant is None else json.dumps([instant.wall, instant.uptime, instant.boot])


def instant_from_json(text: str | None) -> Instant | None:
    """Parse the instant of such a text."""
    return None if text is None else Instant(*json.loads(text))
