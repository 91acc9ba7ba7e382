"""What a check gives, the run of all checks, and those of the program's own files and settings."""

from __future__ import annotations

import logging
import os
import platform
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray import __version__
from gpuwatch_tray.common import redact
from gpuwatch_tray.common.private import is_open_to_others
from gpuwatch_tray.desktop.autostart import AutostartError
from gpuwatch_tray.doctor.output import CheckResult, ok, problem, warning
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model.units import KIB, MIB
from gpuwatch_tray.store.standby import find_standby

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gpuwatch_tray.desktop.autostart import LoginItem
    from gpuwatch_tray.settings import ConfigProblem, Settings
    from gpuwatch_tray.settings.template import SettingsFile


log = logging.getLogger(__name__)

CHECK_TIMEOUT = 8.0  # seconds, where a check has no other time


class Check(Struct, frozen=True):
    """One check of a topic; `hang` says what no answer within `timeout` seconds means, `mend` helps."""

    topic: str
    run: Callable[[], Iterable[CheckResult]]
    timeout: float = CHECK_TIMEOUT
    hang: str = ""
    mend: str = ""


def examine(checks: Sequence[Check]) -> tuple[CheckResult, ...]:
    """Run the checks at the same time; one that hangs or fails becomes a problem. Results are in order."""
    runs = [_CheckRun(check) for check in checks]
    began = time.monotonic()
    for run in runs:
        run.start()
    return tuple(
        result
        for run in runs
        for result in run.results(max(0.0, began + run.check.timeout - time.monotonic()))
    )


class _CheckRun(threading.Thread):
    """The thread of one check, which may never return."""

    def __init__(self, check: Check) -> None:
        super().__init__(name=f"doctor {check.topic}", daemon=True)
        self.check = check
        self._results: tuple[CheckResult, ...] | None = None

    def run(self) -> None:
        """Run the check."""
        try:
            self._results = tuple(self.check.run())
        except Exception as error:
            log.debug("the check of %s failed", self.check.topic, exc_info=True)
            what = f"{type(error).__name__}: {redact.text(str(error))}"
            text = _("this check failed: {error}").format(error=what)
            self._results = (problem(self.check.topic, text, _("use --verbose for details")),)

    def results(self, seconds: float) -> tuple[CheckResult, ...]:
        """Return what the check has found within `seconds`."""
        self.join(seconds)
        if self._results is not None:
            return self._results
        text = self.check.hang or _("no answer")
        limit = _("within {seconds:g} s").format(seconds=self.check.timeout)
        return (problem(self.check.topic, f"{text} {limit}", self.check.mend),)


SETTINGS_TOPIC = "settings"


def check_settings(
    settings: Settings, problems: Sequence[ConfigProblem], files: Sequence[SettingsFile]
) -> Iterator[CheckResult]:
    """Find the files, the mistakes and the warnings; `check_secrets` tells who can read the files."""
    there = ", ".join(str(place.path) for place in files if place.exists)
    none = _("no settings files; using the defaults (`gpuwatch-tray setup config` writes them)")
    yield ok(SETTINGS_TOPIC, _("read from {files}").format(files=there) if there else none)
    for mistake in problems:
        yield problem(SETTINGS_TOPIC, str(mistake), _("correct the line"))
    for text in settings.warnings:
        if "chmod 600" not in text:
            yield warning(SETTINGS_TOPIC, text)


STATE_TOPIC, LOG_TOPIC = "state", "log"
LEAST_FREE = 50 * MIB  # bytes
MOUNTS = Path("/proc/self/mountinfo")
NETWORK = ("nfs", "cifs", "smb", "fuse.sshfs", "afs", "lustre", "9p", "ceph", "gpfs")
# A SQLite file's write version: 2 is WAL (sqlite.org/fileformat2.html, offset 18).
VERSION_AT, WAL = 18, 2


def check_state_file(
    file: Path, mounts: Path = MOUNTS, standby: Sequence[Path] = ()
) -> Iterator[CheckResult]:
    """Check that the state can be written, on which drive it is, and that none was set aside or moved."""
    folder = file.parent
    mend = _("it must be a folder that you can write to; GPUWATCH_CACHE sets another")
    yield from _check_folder(STATE_TOPIC, folder, mend)
    if (elsewhere := find_standby(standby)) is not None:
        text = _("alerts and mails are kept in {file} until the state can be written")
        yield warning(STATE_TOPIC, text.format(file=elsewhere))
    kind = _network_drive(folder, mounts)
    if file.is_file():
        journal = _("WAL") if _is_wal(file) else _("rollback journal")
        text = f"{file}: {_size(file)}, {journal}"
        yield ok(STATE_TOPIC, text + (_(", on a network drive ({kind})").format(kind=kind) if kind else ""))
    elif kind:
        text = _("{folder} is on a network drive ({kind}): the state is kept there without WAL")
        yield ok(STATE_TOPIC, text.format(folder=folder, kind=kind))
    for damaged in sorted(folder.glob(f"{file.name}.damaged-*")):
        if not damaged.name.endswith(("-wal", "-shm", "-journal")):
            text = _("a damaged state file was moved aside: {file}").format(file=damaged)
            yield warning(STATE_TOPIC, text, _("what could be read was kept; you can delete this file"))


def check_log_file(file: Path) -> Iterator[CheckResult]:
    """Check that the log can be written."""
    if file.is_file():
        if os.access(file, os.W_OK):
            yield ok(LOG_TOPIC, f"{file}: {_size(file)}")
        else:
            yield problem(LOG_TOPIC, _("{file} is not writable").format(file=file), f"chmod u+w {file}")
        return
    results = _check_folder(LOG_TOPIC, file.parent, _("make it a folder that you can write to"))
    yield from [result for result in results if result.mend] or [
        ok(LOG_TOPIC, _("{file}: nothing has been logged yet").format(file=file))
    ]


def _check_folder(topic: str, folder: Path, mend: str) -> Iterator[CheckResult]:
    """Check that files can be made in the folder, or the folder itself."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        yield problem(topic, _("{path} is not a folder").format(path=there), mend)
        return
    if not os.access(there, os.W_OK | os.X_OK):
        yield problem(topic, _("{path} is not writable").format(path=there), mend)
        return
    free = shutil.disk_usage(there).free
    if free < LEAST_FREE:
        text = _("{path}: only {free:.0f} MiB free").format(path=folder, free=free / MIB)
        yield warning(topic, text, _("free some disk space"))
    elif there == folder:
        yield ok(topic, _("{path} is writable").format(path=folder))
    else:
        yield ok(topic, _("{path} will be created at the first start").format(path=folder))


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


AUTOSTART_TOPIC = "autostart"
AUTOSTART_MEND = "gpuwatch-tray setup autostart on"


def check_login(open_login: Callable[[], LoginItem]) -> Iterator[CheckResult]:
    """Check whether the tray starts at login, and whether the program to start exists."""
    try:
        item = open_login()
        entry = item.entry()
    except AutostartError as error:
        yield problem(AUTOSTART_TOPIC, str(error))
        return
    if entry is None:
        yield ok(AUTOSTART_TOPIC, _("off: `gpuwatch-tray setup autostart on` starts the tray at login"))
        return
    command = " ".join(entry.command)
    if entry.switched_off:
        yield ok(AUTOSTART_TOPIC, _("off: disabled by {what}").format(what=entry.switched_off))
    elif not entry.works:
        text = _("{command} is gone ({where})").format(command=command, where=item.where)
        yield problem(AUTOSTART_TOPIC, text, AUTOSTART_MEND)
    elif entry.command[: len(item.command)] != item.command:
        text = _("starts another installation at login: {command}").format(command=command)
        yield warning(AUTOSTART_TOPIC, text, AUTOSTART_MEND)
    else:
        yield ok(AUTOSTART_TOPIC, _("on: {command}").format(command=command))


def check_program() -> Iterator[CheckResult]:
    """Find the versions of the program, Python and the system."""
    python = f"Python {platform.python_version()} ({Path(sys.executable)})"
    yield ok("program", f"gpuwatch-tray {__version__}, {python}, {platform.platform(terse=True)}")


SECRETS_TOPIC = "secrets"
GIT_TIMEOUT = 3.0  # seconds


class SecretFile(Struct, frozen=True):
    """A file with a secret; the program refuses a `strict` one that others can read."""

    path: Path
    strict: bool = False


def check_secrets(files: Iterable[SecretFile]) -> Iterator[CheckResult]:
    """Check who can read each file, and that git does not track it; the contents are not read."""
    for file in files:
        try:
            mode = file.path.stat().st_mode
        except OSError:
            continue  # the check that needs the file says that it is missing
        wrong = [*_check_mode(file, mode), *_check_git(file.path)]
        yield from wrong or [ok(SECRETS_TOPIC, _("only you can read {file}").format(file=file.path))]


def _check_mode(file: SecretFile, mode: int) -> Iterator[CheckResult]:
    if not is_open_to_others(mode):
        return
    result = problem if file.strict else warning
    text = _("others can read {file}").format(file=file.path)
    yield result(SECRETS_TOPIC, text, f"chmod 600 {shlex.quote(str(file.path))}")


def _check_git(path: Path) -> Iterator[CheckResult]:
    """Find a file that git tracks: its secret stays in the history."""
    git = shutil.which("git")
    if git is None or not any((folder / ".git").exists() for folder in path.parents):
        return
    command = [git, "-C", str(path.parent), "ls-files", "--error-unmatch", "--", path.name]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode == 0:
        text = _("{file} is tracked by git").format(file=path)
        mend = _("remove it with `git rm --cached`, and change the password: the history still has it")
        yield problem(SECRETS_TOPIC, text, mend)
