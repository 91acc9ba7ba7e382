"""`when run`: a command as it would run without us, and a notice of how it ended."""

from __future__ import annotations

import logging
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import machine
from gpuwatch_tray.app import Occupied, evaluator, open_store, tenure
from gpuwatch_tray.awaiting import Reminders, shown_command
from gpuwatch_tray.commands.asking import ask_or_store, reach
from gpuwatch_tray.context import Setup, UsageError, WorkError
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.launching import CannotStart, Command
from gpuwatch_tray.lock import LockError
from gpuwatch_tray.model import EmailWhen
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.store import Store

log = logging.getLogger(__name__)

TROUBLE = (WorkError, StoreError, LockError, OSError)
NO_WAY = N_("nothing watches here and nobody is mailed: the end is told once gpuwatch-tray runs")


def run(setup: Setup, argv: Sequence[str]) -> int:
    """
    Run the command to its end and report it; its exit code, 128 and the number of a signal, 127 or 126.

    Whatever goes wrong with the report is said on standard error, and changes neither command nor code.
    """
    words = argv[1:] if argv[:1] == ["--"] else argv
    if not words:
        raise UsageError(_("when run needs a command: gpuwatch-tray when run -- python train.py"))
    began = machine.now()
    try:
        command = Command(words)
    except CannotStart as error:
        _complain(str(error))
        return error.code
    number = _announce(setup, command.pid, words)
    code = command.wait()
    if number is not None:
        seconds = max(0.0, machine.now().since(began))
        report = {"do": "when ran", "id": number, "code": code, "seconds": seconds}
        _report(setup, {**report, "output": list(command.lines())})
    return code


def _announce(setup: Setup, pid: int, argv: Sequence[str]) -> int | None:
    """Put it on file that the command runs: then its end is told even if this process is killed."""
    from gpuwatch_tray.sources import living

    identity, boot = living.process_identity(pid)
    told = shown_command(argv)

    def on_store(store: Store) -> dict[str, Any]:
        policy = setup.policy.routing
        if not policy.mails or policy.email_when is EmailWhen.NEVER:
            _complain(_(NO_WAY))
        return {"id": Reminders(store, machine.now).add_command(pid, identity, boot, told)}

    request = {"do": "when run", "pid": pid, "identity": identity, "boot": boot, "called": told}
    try:
        return int(ask_or_store(setup, request, on_store)["id"])
    except TROUBLE as error:
        _complain(_("the end of this command will not be told: {error}").format(error=error))
        return None


def _report(setup: Setup, request: dict[str, Any]) -> None:
    """Tell through the program that watches; where there is none, mail as it would without a desktop."""
    try:
        try:
            if reach(setup, request) is not None:
                return
        except WorkError as error:
            log.info("%s", error)  # who watches finds it in the state
        try:
            with tenure(setup, "when run") as held:
                if (
                    _ran(held.store, request)
                    and evaluator(setup, held.store, loop=False).mail_due_reminders()
                ):
                    _deliver(setup)
        except Occupied:
            with closing(open_store(setup)) as store:
                _ran(store, request)
    except TROUBLE as error:
        _complain(_("the end of this command could not be told: {error}").format(error=error))


def _ran(store: Store, request: dict[str, Any]) -> bool:
    waiting = Reminders(store, machine.now)
    return waiting.report_command(request["id"], request["code"], request["seconds"], request["output"])


def _deliver(setup: Setup) -> None:
    """Have a child send the mail: the command's caller need not wait for the server."""
    command = [*machine.this_program(), "mail", "deliver", "--source", setup.source.value]
    subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _complain(text: str) -> None:
    print(f"gpuwatch-tray: {text}", file=sys.stderr, flush=True)
