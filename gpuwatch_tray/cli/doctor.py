"""`doctor`: what works here and what does not, with what mends it; and the report for a bug."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray import __version__
from gpuwatch_tray.app.bootstrap import open_store
from gpuwatch_tray.app.context import (
    DRIVER_TIMEOUT,
    PROGRAM_TIMEOUT,
    RunContext,
    SourceKind,
    UsageError,
    WorkError,
    open_source,
    standby_places,
)
from gpuwatch_tray.cli.printing import exit_code, show_results
from gpuwatch_tray.common import redact
from gpuwatch_tray.common.private import write_private
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model.units import KIB
from gpuwatch_tray.settings import template

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gpuwatch_tray.cli.base import CommandGroup
    from gpuwatch_tray.doctor import Check
    from gpuwatch_tray.doctor.checks import SecretFile
    from gpuwatch_tray.doctor.output import CheckResult
    from gpuwatch_tray.settings.template import SettingsFile
    from gpuwatch_tray.store import Store


TAIL_LINES = 40
LAB_TIMEOUT = 25.0  # seconds: one read of a lab takes 17 at most
TAIL_BYTES = 64 * KIB


def run_doctor(context: RunContext, args: argparse.Namespace) -> int:
    """Print the results, the end of the log, or write a report; 1 where there is a problem."""
    from gpuwatch_tray.doctor import examine
    from gpuwatch_tray.doctor.output import results_json

    if args.log:
        print("\n".join(log_tail(context)))
        return 0
    if args.report is not None:
        return write_report(context, args.report)
    results = examine(list_checks(context, os.environ))
    if not args.json:
        return show_results(results)
    answer = results_json(results, host=context.host, version=__version__, at=time.time())
    print(json.dumps(answer, indent=2))
    return exit_code(results)


def write_report(context: RunContext, file: Path) -> int:
    """Write a new file for a bug report: the results, and the end of the log. Raises WorkError."""
    from gpuwatch_tray.doctor import examine
    from gpuwatch_tray.doctor.output import results_text

    results = examine(list_checks(context, os.environ))
    at = datetime.now().astimezone().isoformat(timespec="seconds")
    content = [f"gpuwatch-tray {__version__}, {at}", "", *results_text(results), "", *log_tail(context)]
    try:
        write_private(file, "\n".join(content) + "\n")
    except OSError as error:
        raise WorkError(f"{file}: {error.strerror or error}") from error
    print(_("written to {file}; secrets are removed, but read it before you send it").format(file=file))
    return 0


def log_tail(context: RunContext) -> list[str]:
    """Return the log's path and its last lines; the log itself is redacted already."""
    from gpuwatch_tray.app.logs import log_path

    file = log_path(context)
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - TAIL_BYTES))
            text = log.read(TAIL_BYTES).decode(errors="replace")
    except OSError as error:
        return [f"{file}: {error.strerror or error}"]
    return [str(file), *redact.lines("\n".join(text.splitlines()[-TAIL_LINES:]))]


def _lab_checks(context: RunContext, timeout: float, on_disk: Callable[..., Check]) -> list[Check]:
    """Return the checks of the lab and of its outbox, where there is one; `on_disk` makes one of a file."""
    from gpuwatch_tray.app.context import lab_context
    from gpuwatch_tray.app.lab_monitor import read_lab_once
    from gpuwatch_tray.doctor import chat_checks, mail_checks
    from gpuwatch_tray.doctor.checks import Check
    from gpuwatch_tray.doctor.lab_checks import LAB_TOPIC, about_lab, check_lab

    lab = lab_context(context)
    if lab is None:
        return []

    def mails() -> Iterator[CheckResult]:
        deliver = "gpuwatch-tray mail deliver --lab"
        return about_lab(mail_checks.check_outbox(lambda: _open_existing_store(lab), deliver=deliver))

    def messages() -> Iterator[CheckResult]:
        return about_lab(chat_checks.check_chat_outbox(lab.settings, lambda: _open_existing_store(lab)))

    return [
        Check(LAB_TOPIC, lambda: check_lab(lab.settings.lab, lambda: read_lab_once(lab)), timeout),
        on_disk(mail_checks.OUTBOX_TOPIC, mails),
        on_disk(mail_checks.OUTBOX_TOPIC, messages),
    ]


def list_checks(context: RunContext, environ: Mapping[str, str], timeout: float | None = None) -> list[Check]:
    """Return every check; `timeout` in seconds replaces each check's own. Raises UsageError in a demo."""
    from gpuwatch_tray.app.login_item import login_item
    from gpuwatch_tray.app.logs import log_path
    from gpuwatch_tray.app.tray_client import control_addresses, lock_holder, lock_problem
    from gpuwatch_tray.doctor import chat_checks, checks, environment, mail_checks
    from gpuwatch_tray.doctor.checks import CHECK_TIMEOUT, Check

    if context.simulated:
        raise UsageError(_("doctor checks the real system: leave out --demo"))
    files = template.files(environ)
    places = standby_places(context)
    ours = context.settings
    usual = CHECK_TIMEOUT if timeout is None else timeout
    source = PROGRAM_TIMEOUT if context.source is SourceKind.COMMAND else DRIVER_TIMEOUT
    on_disk = partial(
        Check, timeout=usual, mend=_("is it on a network drive that does not answer? check with `mount`")
    )
    return [
        Check("program", checks.check_program, usual),
        on_disk(checks.SETTINGS_TOPIC, lambda: checks.check_settings(ours, context.problems, files)),
        Check(environment.PYNVML_TOPIC, environment.check_pynvml, usual),
        Check(
            environment.DRIVER_TOPIC,
            lambda: environment.check_driver(open_source(context), _driver_versions, ours.limits),
            source if timeout is None else timeout,
            _("it does not answer"),
            _("check whether `nvidia-smi` hangs too; `dmesg` may show why"),
        ),
        Check(
            environment.TRAY_TOPIC,
            lambda: environment.check_desktop(environ, ours.away, _program_name),
            2 * usual,
            _("the desktop's programs do not answer"),
            _("log out and in again"),
        ),
        on_disk(checks.AUTOSTART_TOPIC, lambda: checks.check_login(login_item)),
        on_disk(mail_checks.MAIL_TOPIC, lambda: mail_checks.check_transport(ours)),
        on_disk(
            mail_checks.OUTBOX_TOPIC, lambda: mail_checks.check_outbox(lambda: _open_existing_store(context))
        ),
        on_disk(chat_checks.CHAT_TOPIC, lambda: chat_checks.check_chats(ours)),
        on_disk(
            mail_checks.OUTBOX_TOPIC,
            lambda: chat_checks.check_chat_outbox(ours, lambda: _open_existing_store(context)),
        ),
        *_lab_checks(context, LAB_TIMEOUT if timeout is None else timeout, on_disk),
        on_disk(checks.STATE_TOPIC, lambda: checks.check_state_file(_state_file(context), standby=places)),
        on_disk(checks.LOG_TOPIC, lambda: checks.check_log_file(log_path(context))),
        on_disk(checks.SECRETS_TOPIC, lambda: checks.check_secrets(_secret_files(context, files))),
        Check(
            environment.RUNNING_TOPIC,
            lambda: environment.check_running(
                lock_holder(context), control_addresses(context), lock_problem(context)
            ),
            usual,
        ),
    ]


def _state_file(context: RunContext) -> Path:
    return context.settings.state / f"state-{context.state_name}.sqlite3"


def _open_existing_store(context: RunContext) -> Store | None:
    """Open the store if there is one; a check creates none."""
    from gpuwatch_tray.store.standby import find_standby

    there = _state_file(context).is_file() or find_standby(standby_places(context)) is not None
    return open_store(context) if there else None


def _secret_files(context: RunContext, files: Sequence[SettingsFile]) -> list[SecretFile]:
    from gpuwatch_tray.doctor.checks import SecretFile

    ours = context.settings
    _watch, _notify, smtp, _lab = files
    password = None if ours.smtp is None else ours.smtp.password_file
    plain = [smtp.path, ours.gmail_credentials, password, ours.chats_file]
    plain += [ours.lab.password_file, ours.lab.client_key]
    secret = [SecretFile(path) for path in plain if path is not None]
    return secret + ([SecretFile(ours.gmail_token, strict=True)] if ours.gmail_token is not None else [])


def _driver_versions() -> str:
    from gpuwatch_tray.sources.nvml.session import driver_versions

    return driver_versions()


def _program_name(pid: int) -> str:
    from gpuwatch_tray.model import known
    from gpuwatch_tray.sources.processes import ProcessInspector

    return known(ProcessInspector().inspect_all([pid])[pid].name) or ""


def add_commands(commands: CommandGroup) -> None:
    """Add `doctor`."""
    parser = commands.command(
        "doctor",
        run_doctor,
        _("check that everything works here, with a fix for what does not"),
        "doctor",
        "doctor --report gpuwatch-report.txt",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help=_("as JSON"))
    output.add_argument("--log", action="store_true", help=_("show where the log is, and its last lines"))
    output.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help=_("write a file for a bug report, without secrets"),
    )
