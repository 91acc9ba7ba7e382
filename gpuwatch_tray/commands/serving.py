"""What the running tray or `watch` answers to `status`, `quit`, `report`, `alerts`, `when` and `mail`."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.commands import alerts, past, queue, when
from gpuwatch_tray.commands.answer import Facts, describe
from gpuwatch_tray.commands.asking import served
from gpuwatch_tray.commands.present import present

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuwatch_tray.app import Tenure
    from gpuwatch_tray.context import Setup
    from gpuwatch_tray.watching import Monitor

ANSWER_FIRST = 0.1  # seconds between the answer to `quit` and the end


@contextmanager
def answering(setup: Setup, held: Tenure, watching: Monitor, stop: Callable[[], None]) -> Iterator[None]:
    """Answer meanwhile."""

    def facts() -> Facts:
        return Facts(held.face, setup.host, setup.source.value, setup.simulated, watching.mails_waiting)

    def status(_request: dict[str, Any]) -> dict[str, Any]:
        return describe(watching.shown, facts())

    def end(_request: dict[str, Any]) -> dict[str, Any]:
        timer = threading.Timer(ANSWER_FIRST, stop)
        timer.daemon = True
        timer.start()
        answer = facts()
        return {"face": answer.face, "pid": answer.pid}

    def details(_request: dict[str, Any]) -> dict[str, Any]:
        shown = watching.shown  # once: another may follow at any moment
        told = present(shown, describe(shown, facts()), stale=watching.is_stale)
        # a demo's state is in a folder that nobody else knows
        return {**told, "state": str(held.store.path.parent)}

    handlers = {
        "status": status,
        "details": details,
        "quit": end,
        **alerts.handlers(held.store, watching),
        **when.handlers(held.store, watching),
        **queue.handlers(held.store, watching),
        **past.handlers(held.store, watching),
    }
    with served(setup, handlers) as address:
        held.reachable(address)
        yield
