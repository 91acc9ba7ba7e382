"""The checks of the state's and the log's files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.doctor.line import CheckResult, ok, problem, warning
from gpuwatch_tray.language import _
from gpuwatch_tray.units import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

STATE_TOPIC, LOG_TOPIC = "state", "log"
LEAST_FREE = 50 * MIB  # bytes
MOUNTS = Path("/proc/self/mountinfo")
NETWORK = ("nfs", "cifs", "smb", "fuse.sshfs", "afs", "lustre", "9p", "ceph", "gpfs")
# A SQLite file's write version: 2 is WAL (sqlite.org/fileformat2.html, offset 18).
VERSION_AT, WAL = 18, 2


def check_state_file(file: Path, mounts: Path = MOUNTS) -> Iterator[CheckResult]:
    """Check that the state can be written, on which drive it is, and that no damaged one was set aside."""
    folder = file.parent
    mend = _("it must be a folder that you can write; GPUWATCH_CACHE names another")
    yield from _check_folder(STATE_TOPIC, folder, mend)
    kind = _network_drive(folder, mounts)
    if file.is_file():
        journal = _("WAL") if _is_wal(file) else _("rollback journal")
        text = f"{file}: {_size(file)}, {journal}"
        yield ok(STATE_TOPIC, text + (_(", on a network drive ({kind})").format(kind=kind) if kind else ""))
    elif kind:
        text = _("{folder} is on a network drive ({kind}): the state goes without WAL there")
        yield ok(STATE_TOPIC, text.format(folder=folder, kind=kind))
    for damaged in sorted(folder.glob(f"{file.name}.damaged-*")):
        if not damaged.name.endswith(("-wal", "-shm", "-journal")):
            text = _("a damaged state was set aside: {file}").format(file=damaged)
            yield warning(STATE_TOPIC, text, _("what could be read of it is kept; you may remove it"))


def check_log_file(file: Path) -> Iterator[CheckResult]:
    """Check that the log can be written."""
    if file.is_file():
        if os.access(file, os.W_OK):
            yield ok(LOG_TOPIC, f"{file}: {_size(file)}")
        else:
            yield problem(LOG_TOPIC, _("{file} cannot be written").format(file=file), f"chmod u+w {file}")
        return
    failed = [
        line
        for line in _check_folder(LOG_TOPIC, file.parent, _("make it a folder that you can write"))
        if line.mend
    ]
    yield from failed or [ok(LOG_TOPIC, _("{file}: nothing has been logged yet").format(file=file))]


def _check_folder(topic: str, folder: Path, mend: str) -> Iterator[CheckResult]:
    """Check that files can be made in the folder, or the folder itself."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        yield problem(topic, _("{path} is not a folder").format(path=there), mend)
        return
    if not os.access(there, os.W_OK | os.X_OK):
        yield problem(topic, _("{path} cannot be written").format(path=there), mend)
        return
    free = shutil.disk_usage(there).free
    if free < LEAST_FREE:
        text = _("{path}: only {free:.0f} MiB are free").format(path=folder, free=free / MIB)
        yield warning(topic, text, _("make room on the disk"))
    elif there == folder:
        yield ok(topic, _("{path} can be written").format(path=folder))
    else:
        yield ok(topic, _("{path} is made at the first start").format(path=folder))


def _network_drive(folder: Path, mounts: Path) -> str:
    """Return the type of the network file system that holds the folder; empty for a disk, or if unknown."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    best, kind = -1, ""
    for line in lines:
        fields, _dash, rest = line.partition(" - ")
        point = Path(fields.split(" ")[4].replace("\\040", " "))
        if folder.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), rest.split(" ")[0]
    return kind if kind.startswith(NETWORK) else ""


def _is_wal(file: Path) -> bool:
    with file.open("rb") as opened:
        head = opened.read(VERSION_AT + 1)
    return len(head) > VERSION_AT and head[VERSION_AT] == WAL


def _size(file: Path) -> str:
    return f"{file.stat().st_size / KIB:.0f} KiB"
