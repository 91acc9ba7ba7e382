"""`when`: one-shot reminders, for free GPUs or an end. Through the running tray, else on the store."""

from __future__ import annotations

import argparse
import logging
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.bootstrap import (
    AlreadyRunningError,
    RunContext,
    UsageError,
    WorkError,
    acquire_store,
    create_engine,
    deliver_command,
    open_store,
)
from gpuwatch_tray.app.control import operate
from gpuwatch_tray.cli.base import complain, positive_int
from gpuwatch_tray.common import host
from gpuwatch_tray.engine import operations
from gpuwatch_tray.engine.operations import HOLD, Reminders, shown_command
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.ipc.lock import LockError
from gpuwatch_tray.model import EmailWhen
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuwatch_tray.cli.base import CommandGroup
    from gpuwatch_tray.store import Store


NOTHING_RUNS = N_("nothing is watching now: start gpuwatch-tray")
NO_REMINDERS = N_("no pending reminders")


def add_free_reminder(context: RunContext, args: argparse.Namespace) -> int:
    """Add a reminder for N GPUs that have been free for a duration, by default a minute."""
    try:
        seconds = HOLD if args.hold is None else operations.parse_duration(args.hold, host.now().wall)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return _operate(context, {"do": "when free", "count": args.count, "hold": seconds})


def add_end_reminder(context: RunContext, args: argparse.Namespace) -> int:
    """Add a reminder for the end of a process on a GPU."""
    return _operate(context, {"do": "when ends", "pid": args.pid})


def cancel_reminder(context: RunContext, args: argparse.Namespace) -> int:
    """Cancel a reminder."""
    return _operate(context, {"do": "when cancel", "id": args.id}, needs_monitor=False)


def print_reminders(context: RunContext, _args: argparse.Namespace) -> int:
    """Print the reminders."""
    return _operate(context, {"do": "when list"})


def _operate(context: RunContext, request: Mapping[str, Any], *, needs_monitor: bool = True) -> int:
    from gpuwatch_tray.app.tray_client import lock_holder

    said = operate(context, request)["said"]
    print(said or _(NO_REMINDERS))
    if needs_monitor and said and not context.simulated and not lock_holder(context).pid:
        print(_(NOTHING_RUNS))
    return 0


log = logging.getLogger(__name__)

REPORT_FAILURES = (WorkError, StoreError, LockError, OSError)
NOBODY_TO_TELL = N_("nothing is watching and no mail is set up: you will be notified once gpuwatch-tray runs")


def run_and_remind(context: RunContext, args: argparse.Namespace) -> int:
    """Run the command, report its end and return its exit code, as a shell has it; errors change neither."""
    from gpuwatch_tray.common.child import RunningCommand, StartError

    words = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
    if not words:
        raise UsageError(_("when run needs a command: gpuwatch-tray when run -- python train.py"))
    began = host.now()
    try:
        command = RunningCommand(words)
    except StartError as error:
        complain(str(error))
        return error.code
    number = _announce(context, command.pid, words)
    code = command.wait()
    if number is not None:
        seconds = max(0.0, host.now().since(began))
        report = {"do": "when ran", "id": number, "code": code, "seconds": seconds}
        _report(context, {**report, "output": list(command.lines())})
    return code


def _announce(context: RunContext, pid: int, argv: Sequence[str]) -> int | None:
    """Store the reminder: the end is then told even if this process is killed."""
    from gpuwatch_tray.app.tray_client import request_or_use_store
    from gpuwatch_tray.sources.processes import process_identity

    identity, boot = process_identity(pid)
    name = shown_command(argv)

    def on_store(store: Store) -> dict[str, Any]:
        policy = context.policy.routing
        if not policy.mails or policy.email_when is EmailWhen.NEVER:
            complain(_(NOBODY_TO_TELL))
        return {"id": Reminders(store, host.now).add_command(pid, identity, boot, name)}

    request = {"do": "when run", "pid": pid, "identity": identity, "boot": boot, "called": name}
    try:
        return int(request_or_use_store(context, request, on_store)["id"])
    except REPORT_FAILURES as error:
        complain(_("the end of this command will not be reported: {error}").format(error=error))
        return None


def _report(context: RunContext, request: dict[str, Any]) -> None:
    """Report through the running program; where none runs, mail as it would without a desktop."""
    from gpuwatch_tray.app.tray_client import try_request

    try:
        try:
            if try_request(context, request) is not None:
                return
        except WorkError as error:
            log.info("%s", error)  # the running program finds it in the store
        try:
            with acquire_store(context, "when run") as lease:
                recorded = _record_end(lease.store, request)
                if recorded and create_engine(context, lease.store, in_loop=False).mail_due_reminders():
                    _deliver(context)
        except AlreadyRunningError:
            with closing(open_store(context)) as store:
                _record_end(store, request)
    except REPORT_FAILURES as error:
        complain(_("the end of this command could not be reported: {error}").format(error=error))


def _record_end(store: Store, request: dict[str, Any]) -> bool:
    return Reminders(store, host.now).report_command(
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


def add_commands(commands: CommandGroup) -> None:
    """Add `when` and its tasks."""
    _parser, tasks = commands.group(
        "when", _("notify you once: GPUs are free, a process has ended"), "when free 2", "when run -- make"
    )
    free = tasks.command(
        "free", add_free_reminder, _("notify you when N GPUs have no compute process"), "when free 2 --for 5m"
    )
    free.add_argument("count", type=positive_int, metavar="N")
    free.add_argument("--for", dest="hold", metavar="DURATION", help=_("free for this long (default 60s)"))
    ends = tasks.command(
        "ends", add_end_reminder, _("notify you when a GPU process ends"), "when ends 2943615"
    )
    ends.add_argument("pid", type=positive_int, metavar="PID")
    run = tasks.command(
        "run",
        run_and_remind,
        _("run a command and notify you when it ends"),
        "when run -- python train.py",
    )
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND ARGUMENTS...")
    tasks.command("list", print_reminders, _("list what you wait for"), "when list")
    cancel = tasks.command("cancel", cancel_reminder, _("stop waiting"), "when cancel 3")
    cancel.add_argument("id", type=positive_int, metavar="ID", help=_("the number that `when list` shows"))
