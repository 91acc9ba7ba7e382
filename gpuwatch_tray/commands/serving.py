"""What the running tray or `watch` answers to `status`, `quit`, `report`, `alerts`, `when` and `mail`."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.commands.alerts import alert_handlers
from gpuwatch_tray.commands.answer import ResponderInfo, build_status
from gpuwatch_tray.commands.asking import serve_requests
from gpuwatch_tray.commands.past import history_handlers
from gpuwatch_tray.commands.present import details_answer
from gpuwatch_tray.commands.queue import outbox_handlers
from gpuwatch_tray.commands.when import reminder_handlers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuwatch_tray.app import StoreLease
    from gpuwatch_tray.context import RunContext
    from gpuwatch_tray.watching import Monitor

ANSWER_FIRST = 0.1  # seconds between the answer to `quit` and the end


@contextmanager
def answering(
    context: RunContext, lease: StoreLease, monitor: Monitor, stop: Callable[[], None]
) -> Iterator[None]:
    """Answer meanwhile."""

    def facts() -> ResponderInfo:
        return ResponderInfo(
            lease.face, context.host, context.source.value, context.simulated, monitor.mails_waiting
        )

    def status(_request: dict[str, Any]) -> dict[str, Any]:
        return build_status(monitor.status, facts())

    def end(_request: dict[str, Any]) -> dict[str, Any]:
        timer = threading.Timer(ANSWER_FIRST, stop)
        timer.daemon = True
        timer.start()
        answer = facts()
        return {"face": answer.face, "pid": answer.pid}

    def details(_request: dict[str, Any]) -> dict[str, Any]:
        shown = monitor.status  # once: another may follow at any moment
        told = details_answer(shown, build_status(shown, facts()), stale=monitor.is_stale)
        # a demo's state is in a folder that nobody else knows
        return {**told, "state": str(lease.store.path.parent)}

    handlers = {
        "status": status,
        "details": details,
        "quit": end,
        **alert_handlers(lease.store, monitor),
        **reminder_handlers(lease.store, monitor),
        **outbox_handlers(lease.store, monitor),
        **history_handlers(lease.store, monitor),
    }
    with serve_requests(context, handlers) as address:
        lease.report_address(address)
        yield
