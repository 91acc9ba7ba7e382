"""The bodies of `when`, and the running program's answers to them."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeAlias

from gpuwatch_tray import attending, machine
from gpuwatch_tray.awaiting import HOLD, NotOnGpuError, ReminderError, Reminders
from gpuwatch_tray.context import RunContext, UsageError, WorkError
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.reading import open_source, read_once

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.control import Handler
    from gpuwatch_tray.model import Snapshot
    from gpuwatch_tray.store import Store
    from gpuwatch_tray.watching import Monitor

NOTHING_RUNS = N_("nothing watches at the moment: start gpuwatch-tray")
NO_REMINDERS = N_("nothing is waited for")
NEW_SNAPSHOT_WITHIN = 1.5  # seconds, less than the client waits for the answer
SNAPSHOT_POLL = 0.05  # seconds

ReminderOperation: TypeAlias = "Callable[[Reminders, Mapping[str, Any], Snapshot | None], dict[str, Any]]"


def add_free_reminder(context: RunContext, args: argparse.Namespace) -> int:
    """Add a reminder for N GPUs that have been free for a duration, by default a minute."""
    try:
        seconds = HOLD if args.hold is None else attending.parse_duration(args.hold, machine.now().wall)
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


def reminder_handlers(store: Store, monitor: Monitor) -> dict[str, Handler]:
    """Return the request handlers about reminders; each change is evaluated at once."""
    from gpuwatch_tray.control import RequestRefusedError

    reminders = Reminders(store, machine.now)

    def next_snapshot() -> Snapshot | None:
        """Wait for the snapshot after the one that is shown."""
        before = monitor.status.at
        monitor.check_now()
        until = time.monotonic() + NEW_SNAPSHOT_WITHIN
        while monitor.status.at == before and time.monotonic() < until:
            time.sleep(SNAPSHOT_POLL)
        return monitor.status.snapshot

    def handler(operation: ReminderOperation) -> Handler:
        def handle(request: dict[str, Any]) -> dict[str, Any]:
            try:
                try:
                    answer = operation(reminders, request, monitor.status.snapshot)
                except NotOnGpuError:  # the process may have come since
                    answer = operation(reminders, request, next_snapshot())
            except ReminderError as error:
                raise RequestRefusedError(str(error)) from error
            monitor.check_now()
            return answer

        return handle

    return {do: handler(operation) for do, operation in REMINDER_OPERATIONS.items()}


def _text_answer(text: str) -> dict[str, Any]:
    return {"said": text}


REMINDER_OPERATIONS: dict[str, ReminderOperation] = {
    "when free": lambda reminders, request, snapshot: _text_answer(
        reminders.add_gpus_free(int(request["count"]), snapshot, float(request["hold"]))
    ),
    "when ends": lambda reminders, request, snapshot: _text_answer(
        reminders.add_process_ends(int(request["pid"]), snapshot)
    ),
    "when cancel": lambda reminders, request, _snapshot: _text_answer(reminders.cancel(int(request["id"]))),
    "when list": lambda reminders, _request, _snapshot: _text_answer("\n".join(reminders.lines())),
    "when run": lambda reminders, request, _snapshot: {
        "id": reminders.add_command(
            int(request["pid"]), str(request["identity"]), str(request["boot"]), str(request["called"])
        )
    },
    "when ran": lambda reminders, request, _snapshot: {
        "told": reminders.report_command(
            int(request["id"]),
            int(request["code"]),
            float(request["seconds"]),
            tuple(map(str, request["output"])),
        )
    },
}
NEED_SNAPSHOT = {"when free", "when ends"}


def _operate(context: RunContext, request: Mapping[str, Any], *, needs_monitor: bool = True) -> int:
    from gpuwatch_tray.commands.asking import lock_holder, request_or_use_store

    def on_store(store: Store) -> dict[str, Any]:
        snapshot = None
        if request["do"] in NEED_SNAPSHOT:
            with closing(open_source(context, store)) as source:
                snapshot = read_once(context, source)
        try:
            return REMINDER_OPERATIONS[request["do"]](Reminders(store, machine.now), request, snapshot)
        except ReminderError as error:
            raise WorkError(str(error)) from error

    said = request_or_use_store(context, request, on_store)["said"]
    print(said or _(NO_REMINDERS))
    if needs_monitor and said and not context.simulated and not lock_holder(context).pid:
        print(_(NOTHING_RUNS))
    return 0
