"""The running program's answers to `when`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias

from gpuwatch_tray.common import host
from gpuwatch_tray.engine.operations import NotOnGpuError, ReminderError, Reminders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.app.monitor import Monitor
    from gpuwatch_tray.ipc import Handler
    from gpuwatch_tray.model import Snapshot
    from gpuwatch_tray.store import Store


NEW_SNAPSHOT_WITHIN = 1.5  # seconds, less than the client waits for the answer
SNAPSHOT_POLL = 0.05  # seconds

ReminderOperation: TypeAlias = "Callable[[Reminders, Mapping[str, Any], Snapshot | None], dict[str, Any]]"


def reminder_handlers(store: Store, monitor: Monitor) -> dict[str, Handler]:
    """Return the request handlers about reminders; each change is evaluated at once."""
    from gpuwatch_tray.ipc import RequestRefusedError

    reminders = Reminders(store, host.now)

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
