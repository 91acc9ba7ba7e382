"""`doctor`: what is right here and what is not, each with its mend; and what a bug report needs."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from gpuwatch_tray import __version__, doctor, redact, settings
from gpuwatch_tray.app import open_store
from gpuwatch_tray.commands import autostart, logs
from gpuwatch_tray.commands.asking import holder_of, places
from gpuwatch_tray.context import Setup, SourceKind, UsageError, WorkError
from gpuwatch_tray.doctor import (
    Check,
    State,
    binding,
    configuration,
    desktop,
    driver,
    files,
    login,
    mail,
    program,
    secrets,
    watcher,
    writing,
)
from gpuwatch_tray.doctor.secrets import SecretFile
from gpuwatch_tray.language import _
from gpuwatch_tray.reading import ANSWER_WITHIN, PROGRAM_WITHIN, open_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gpuwatch_tray.settings.writing import SettingsFile
    from gpuwatch_tray.store import Store

TAIL = 40  # lines of the log
TAIL_BYTES = 64 * 1024


def run(setup: Setup, *, as_json: bool) -> int:
    """Print the lines; 1 where there is a problem."""
    lines = doctor.examine(checks(setup, os.environ))
    if as_json:
        answer = writing.as_json(lines, host=setup.host, version=__version__, at=time.time())
        print(json.dumps(answer, indent=2))
    else:
        print("\n".join(writing.as_text(lines)))
    return 1 if any(line.state is State.PROBLEM for line in lines) else 0


def show_log(setup: Setup) -> int:
    """Print where the log is, and its last lines."""
    print("\n".join(log_tail(setup)))
    return 0


def report(setup: Setup, file: Path) -> int:
    """Write what a bug report needs to a new file: the lines, and the end of the log; raises WorkError."""
    lines = doctor.examine(checks(setup, os.environ))
    at = datetime.now().astimezone().isoformat(timespec="seconds")
    content = [f"gpuwatch-tray {__version__}, {at}", "", *writing.as_text(lines), "", *log_tail(setup)]
    try:
        with os.fdopen(
            os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8"
        ) as new:
            new.write("\n".join(content) + "\n")
    except OSError as error:
        raise WorkError(f"{file}: {error.strerror or error}") from error
    print(_("written to {file}; secrets are taken out, but read it before you send it").format(file=file))
    return 0


def log_tail(setup: Setup) -> list[str]:
    """The path of the log and its last lines, none of which runs over; the log itself is redacted already."""
    file = logs.path_of(setup)
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - TAIL_BYTES))
            text = log.read(TAIL_BYTES).decode(errors="replace")
    except OSError as error:
        return [f"{file}: {error.strerror or error}"]
    return [str(file), *redact.lines("\n".join(text.splitlines()[-TAIL:]))]


def checks(setup: Setup, environ: Mapping[str, str], patience: float | None = None) -> list[Check]:
    """Every check of this set-up; with `patience` each may take so many seconds, else what suits it."""
    if setup.simulated:
        raise UsageError(_("the doctor looks at what is really here: leave out --demo"))
    found = settings.files(environ)
    ours = setup.settings
    within = doctor.WITHIN if patience is None else patience
    answer = PROGRAM_WITHIN if setup.source is SourceKind.COMMAND else ANSWER_WITHIN
    on_disk = partial(
        Check, within=within, mend=_("is it on a network drive that does not answer? `mount` tells")
    )
    return [
        Check("program", program.look, within),
        on_disk(configuration.TOPIC, lambda: configuration.look(ours, setup.problems, found)),
        Check(binding.TOPIC, binding.look, within),
        Check(
            driver.TOPIC,
            lambda: driver.look(open_source(setup), _versions, ours.limits),
            answer if patience is None else patience,
            _("it does not answer"),
            _("see whether `nvidia-smi` hangs too; `dmesg` may say why"),
        ),
        Check(
            desktop.TRAY,
            lambda: desktop.look(environ, ours.away, _program_of),
            2 * within,
            _("the desktop's programs do not answer"),
            _("log out and in again"),
        ),
        on_disk(login.TOPIC, lambda: login.look(autostart.login)),
        on_disk(mail.WAY, lambda: mail.way(ours)),
        on_disk(mail.OUTBOX, lambda: mail.outbox(lambda: _store(setup))),
        on_disk(files.STATE, lambda: files.state(_state_file(setup))),
        on_disk(files.LOG, lambda: files.log(logs.path_of(setup))),
        on_disk(secrets.TOPIC, lambda: secrets.look(_secret_files(setup, found))),
        Check(watcher.TOPIC, lambda: watcher.look(holder_of(setup), places(setup)), within),
    ]


def _state_file(setup: Setup) -> Path:
    return setup.settings.state / f"state-{setup.state_name}.sqlite3"


def _store(setup: Setup) -> Store | None:
    """The state, if there is one: looking makes none."""
    return open_store(setup) if _state_file(setup).is_file() else None


def _secret_files(setup: Setup, found: Sequence[SettingsFile]) -> list[SecretFile]:
    ours = setup.settings
    _watch, _notify, smtp = found
    plain = [smtp.path, ours.gmail_credentials, None if ours.smtp is None else ours.smtp.password_file]
    files = [SecretFile(path) for path in plain if path is not None]
    return files + ([SecretFile(ours.gmail_token, strict=True)] if ours.gmail_token is not None else [])


def _versions() -> str:
    from gpuwatch_tray.sources.nvml.versions import versions

    return versions()


def _program_of(pid: int) -> str:
    from gpuwatch_tray.model import known
    from gpuwatch_tray.sources.processes import ProcessInspector

    return known(ProcessInspector().inspect_all([pid])[pid].name) or ""
