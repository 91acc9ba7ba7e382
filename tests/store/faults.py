"""A disk that fails when told: SQLite's own error codes, at the statement that is asked for."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpuwatch_tray.store import state_file

if TYPE_CHECKING:
    from collections.abc import Callable

TEXTS = {
    sqlite3.SQLITE_FULL: "database or disk is full",
    sqlite3.SQLITE_READONLY: "attempt to write a readonly database",
    sqlite3.SQLITE_IOERR_WRITE: "disk I/O error",
    sqlite3.SQLITE_CANTOPEN: "unable to open database file",
    sqlite3.SQLITE_BUSY: "database is locked",
    sqlite3.SQLITE_CORRUPT: "database disk image is malformed",
}


class Disk:
    """Fails with `code` at each statement that begins with `at`, while `code` is set; see `before`."""

    def __init__(self, path) -> None:
        self.path = path
        self.code = 0
        self.at = "COMMIT"
        self._first: dict[str, Callable[[], object]] = {}

    def before(self, statement, happens):
        """Let `happens` be called once, right before the next statement that reads `statement`."""
        self._first[statement] = happens

    @contextmanager
    def failing(self, code, at="COMMIT"):
        self.code, self.at = code, at
        yield
        self.code = 0

    def open(self, path, mode="mode=rwc"):
        disk = self

        class Connection(sqlite3.Connection):
            def execute(self, sql, *parameters):
                if (happens := disk._first.pop(sql, None)) is not None:
                    happens()
                if disk.code and sql.lstrip().startswith(disk.at):
                    raise fault(disk.code)
                return super().execute(sql, *parameters)

        return sqlite3.connect(
            f"{path.as_uri()}?{mode}",
            uri=True,
            timeout=0.1,
            isolation_level=None,
            check_same_thread=False,
            factory=Connection,
        )


def fault(code):
    kind = sqlite3.DatabaseError if code == sqlite3.SQLITE_CORRUPT else sqlite3.OperationalError
    error = kind(TEXTS[code])
    error.sqlite_errorcode = code
    return error


def install(monkeypatch, path) -> Disk:
    """Put the disk under every file that the store opens from now on."""
    disk = Disk(path)
    monkeypatch.setattr(state_file, "open_connection", disk.open)
    return disk
