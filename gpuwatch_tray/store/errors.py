"""Errors of SQLite and the disk: what they mean, what to do about them, what people read."""

from __future__ import annotations

import errno
import sqlite3

from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.store.tables import UnreadableRowError

DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# Why the file cannot be written, and what a person can do.
UNWRITABLE = {
    sqlite3.SQLITE_FULL: (N_("the disk is full"), N_("free some disk space")),
    sqlite3.SQLITE_READONLY: (
        N_("the file cannot be written"),
        N_("its folder must be writable for you"),
    ),
    sqlite3.SQLITE_PERM: (N_("the file cannot be written"), N_("it must belong to you")),
    sqlite3.SQLITE_CANTOPEN: (N_("the file cannot be opened"), N_("it must belong to you")),
    sqlite3.SQLITE_IOERR: (
        N_("the disk fails"),
        N_("see whether it is full or over its quota; `dmesg` may say more"),
    ),
}
FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


def _sqlite_code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_damaged(error: Exception) -> bool:
    """Return whether the file is not what was written."""
    return (
        isinstance(error, UnreadableRowError)
        or _sqlite_code(error) in DAMAGED
        or "decode to UTF-8" in str(error)
    )


def is_unwritable(error: Exception) -> bool:
    """Return whether the disk does not accept writes; a lock held by another process does not count."""
    return isinstance(error, OSError) or _sqlite_code(error) in UNWRITABLE


def reason_and_remedy(error: Exception) -> tuple[str, str]:
    """Return why the disk does not accept writes, and what to do."""
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return _("the disk is read-only"), _("make it writable, or set GPUWATCH_CACHE to another folder")
    if isinstance(error, OSError) and error.errno not in FULL:
        mend = _("it must be a folder that you can write to; GPUWATCH_CACHE sets another")
        return error.strerror or str(error), mend
    # No room for the files that SQLite keeps beside the database is a full disk, too.
    full = isinstance(error, OSError) or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHMSIZE
    what, mend = UNWRITABLE[sqlite3.SQLITE_FULL if full else _sqlite_code(error)]
    return _(what), _(mend)


def describe_error(error: Exception) -> str:
    """Return the error with its remedy, where there is one."""
    if _sqlite_code(error) == sqlite3.SQLITE_BUSY:
        return _("{error} (another program is using it; it will be retried)").format(error=error)
    if isinstance(error, OSError) and error.errno is not None:
        return _("{text} ({mend})").format(text=error, mend=reason_and_remedy(error)[1])
    if _sqlite_code(error) not in UNWRITABLE:
        return str(error)
    return _("{text} ({mend})").format(text=error, mend=reason_and_remedy(error)[1])
