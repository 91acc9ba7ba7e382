"""`when run`: a command that runs as it would without us, and a reminder of its end."""

from __future__ import annotations

import logging
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import machine
from gpuwatch_tray.app import (
    AlreadyRunningError,
    acquire_store,
    create_evaluator,
    deliver_command,
    open_store,
)
from gpuwatch_tray.awaiting import Reminders, shown_command
from gpuwatch_tray.context import RunContext, UsageError, WorkError
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.lock import LockError
from gpuwatch_tray.model import EmailWhen
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from gpuwatch_tray.store import Store

log = logging.getLogger(__name__)

REPORT_FAILURES = (WorkError, StoreError, LockError, OSError)
NOBODY_TO_TELL = N_("nothing watches here and nobody is mailed: the end is told once gpuwatch-tray runs")


def run_and_remind(context: RunContext, args: argparse.Namespace) -> int:
    """
    Run the command to its end and report the end; returns its exit code.

    That is 128 and the number of a signal that ended it, 127 or 126 where it could not be started. An error
    of the report is printed to standard error, and changes neither command nor code.
    """
    from gpuwatch_tray.launching import RunningCommand, StartError

    words = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
    if not words:
        raise UsageError(_("when run needs a command: gpuwatch-tray when run -- python train.py"))
    began = machine.now()
    try:
        command = RunningCommand(words)
    except StartError as error:
        _complain(str(error))
        return error.code
    number = _announce(context, command.pid, words)
    code = command.wait()
    if number is not None:
        seconds = max(0.0, machine.now().since(began))
        report = {"do": "when ran", "id": number, "code": code, "seconds": seconds}
        _report(context, {**report, "output": list(command.lines())})
    return code


def _announce(context: RunContext, pid: int, argv: Sequence[str]) -> int | None:
    """Store the reminder: the end is then told even if this process is killed."""
    from gpuwatch_tray.commands.asking import request_or_use_store
    from gpuwatch_tray.sources.living import process_identity

    identity, boot = process_identity(pid)
    name = shown_command(argv)

    def on_store(store: Store) -> dict[str, Any]:
        policy = context.policy.routing
        if not policy.mails or policy.email_when is EmailWhen.NEVER:
            _complain(_(NOBODY_TO_TELL))
        return {"id": Reminders(store, machine.now).add_command(pid, identity, boot, name)}

    request = {"do": "when run", "pid": pid, "identity": identity, "boot": boot, "called": name}
    try:
        return int(request_or_use_store(context, request, on_store)["id"])
    except REPORT_FAILURES as error:
        _complain(_("the end of this command will not be told: {error}").format(error=error))
        return None


def _report(context: RunContext, request: dict[str, Any]) -> None:
    """Report through the running program; where none runs, mail as it would without a desktop."""
    from gpuwatch_tray.commands.asking import try_request

    try:
        try:
            if try_request(context, request) is not None:
                return
        except WorkError as error:
            log.info("%s", error)  # the running program finds it in the store
        try:
            with acquire_store(context, "when run") as lease:
                recorded = _record_end(lease.store, request)
                if recorded and create_evaluator(context, lease.store, loop=False).mail_due_reminders():
                    _deliver(context)
        except AlreadyRunningError:
            with closing(open_store(context)) as store:
                _record_end(store, request)
    except REPORT_FAILURES as error:
        _complain(_("the end of this command could not be told: {error}").format(error=error))


def _record_end(store: Store, request: dict[str, Any]) -> bool:
    return Reminders(store, machine.now).report_command(
        request["id"], request["code"], request["seconds"], request["output"]
    )


def _deliver(context: RunContext) -> None:
    """Start a child that sends the mail: the command's caller need not wait for the server."""
    subprocess.Popen(
        deliver_command(context),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _complain(text: str) -> None:
    print(f"gpuwatch-tray: {text}", file=sys.stderr, flush=True)
