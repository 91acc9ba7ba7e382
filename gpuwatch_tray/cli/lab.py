"""`lab`: the other machines, as a table; and the way to them step by step."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.context import RunContext, UsageError, WorkError
from gpuwatch_tray.cli.base import add_json
from gpuwatch_tray.cli.password import add_delete, change_password
from gpuwatch_tray.cli.printing import show, show_results, warn
from gpuwatch_tray.i18n import _
from gpuwatch_tray.settings import LabLogin, SecretError, read_secret

if TYPE_CHECKING:
    from gpuwatch_tray.cli.base import CommandGroup
    from gpuwatch_tray.settings.system_keyring import KeyringEntry


def print_lab(context: RunContext, args: argparse.Namespace) -> int:
    """Print what the running program knows of the lab, else what it says now; 1 where nothing is known."""
    from gpuwatch_tray.app.lab_json import lab_lines
    from gpuwatch_tray.app.lab_operations import lab_now

    context.require_valid_settings()
    answer = _asked(context) or lab_now(context)
    if args.json:
        print(json.dumps(answer, indent=2))
    else:
        show("\n".join(lab_lines(answer, time.time())), hang=2)
    if answer["problem"] is not None:
        raise WorkError(answer["problem"])
    return 0


def _asked(context: RunContext) -> dict[str, Any] | None:
    from gpuwatch_tray.app.tray_client import try_request

    answer = try_request(context, {"do": "lab"})
    return None if answer is None else answer["lab"]


def run_steps(context: RunContext, _args: argparse.Namespace) -> int:
    """Go the way to each machine and print what works and what does not; 1 where something does not."""
    from gpuwatch_tray.app.context import lab_context
    from gpuwatch_tray.app.lab_monitor import read_lab_once
    from gpuwatch_tray.doctor.lab_checks import check_lab, check_way

    context.require_valid_settings()
    warn(context)
    lab = lab_context(context)
    if lab is not None and lab.settings.lab.prometheus:
        results = tuple(check_way(lab.settings.lab, lab.user))
    else:
        results = tuple(check_lab(context.settings.lab, None if lab is None else lambda: read_lab_once(lab)))
    return show_results(results)


def run_password(context: RunContext, args: argparse.Namespace) -> int:
    """Store the password or the token of the lab in the keyring, or delete it there."""
    from gpuwatch_tray.app.tray_client import try_request
    from gpuwatch_tray.lab import login
    from gpuwatch_tray.settings.system_keyring import KeyringEntry

    mend = _(login.KEYRING_MEND)
    if args.tell is not None:
        return _tell(KeyringEntry(login.KEYRING_SERVICE, args.tell, mend))
    context.require_valid_settings()
    lab = context.settings.lab
    if not lab.prometheus:
        raise UsageError(_("no Prometheus is set up: set LAB_PROMETHEUS in lab.env first"))
    if lab.login is LabLogin.NONE:
        raise UsageError(
            _("LAB_AUTH=none sends no login: set LAB_AUTH=basic and LAB_USER, or LAB_AUTH=bearer, in lab.env")
        )
    entry = KeyringEntry(login.KEYRING_SERVICE, login.keyring_account(lab), mend)
    change_password(entry, read_secret, delete=args.delete)
    if args.delete:
        return 0
    if lab.password_file is not None:
        print(
            _("It is not used yet because {key} is set: remove {key} from lab.env.").format(
                key="LAB_PASS_FILE"
            )
        )
        return 0
    print(_("`gpuwatch-tray lab test` tries it."))
    with suppress(WorkError):  # one of another version, or that hangs: it asks again by itself
        try_request(context, {"do": "lab check"})
    return 0


def _tell(entry: KeyringEntry) -> int:
    """Print what the keyring has, for a process that does not load its library."""
    from gpuwatch_tray.lab.login import told_secret

    if sys.stdout.isatty():
        raise UsageError(_("--tell is for gpuwatch-tray itself, and shows no password on a terminal"))
    try:
        print(told_secret(entry.read()))
    except SecretError as error:
        print(told_secret(None, error))
    return 0


def add_commands(commands: CommandGroup) -> None:
    """Add `lab` and its tasks."""
    parser, tasks = commands.group(
        "lab", _("list the machines of the lab, and their free GPUs"), "lab", "lab --json", body=print_lab
    )
    add_json(parser)
    tasks.command("test", run_steps, _("test the way to each machine"), "lab test")
    password = tasks.command(
        "password", run_password, _("store the password or token of LAB_AUTH in the keyring"), "lab password"
    )
    add_delete(password)
    password.add_argument("--tell", metavar="ACCOUNT", help=argparse.SUPPRESS)  # to the tray
