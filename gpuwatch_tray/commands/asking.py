"""The way from a command to the program that watches: where it answers, and what it answers."""

from __future__ import annotations

import logging
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import control
from gpuwatch_tray.app import open_store
from gpuwatch_tray.context import WorkError
from gpuwatch_tray.language import _
from gpuwatch_tray.lock import LockHolder, StoreLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gpuwatch_tray.context import RunContext
    from gpuwatch_tray.store import Store

log = logging.getLogger(__name__)

DEMO = "demo"  # what a demo's state is called here: it has no folder that others could know


@contextmanager
def served(context: RunContext, handlers: Mapping[str, control.Handler]) -> Iterator[str]:
    """
    Answer requests meanwhile; yields the address, for the lock's description.

    Where no socket can be had the address is empty: nobody can ask then, and the watching goes on.
    """
    try:
        server = control.serve(places(context), handlers)
    except control.ControlError as error:
        log.warning("`status` and `quit` will not reach this one: %s", error)
        yield ""
        return
    try:
        yield server.address
    finally:
        server.stop()


def places(context: RunContext) -> tuple[str, ...]:
    """Where the program that watches this state may answer."""
    return control.addresses(context.settings.state, DEMO if context.simulated else context.state_name)


def reach(context: RunContext, request: Mapping[str, Any], timeout: float = 2.0) -> dict[str, Any] | None:
    """
    The answer of the program that watches this state, None where there is none.

    Raises WorkError where there is one that does not answer, or answers with an error.
    """
    holder = lock_holder(context)
    known = (holder.address,) if holder.address else places(context)
    for address in known:
        try:
            return control.ask(address, request, timeout)
        except control.NotRunningError:
            continue
        except control.ControlError as error:
            raise WorkError(
                _("{watcher} on {host}: {error}").format(
                    watcher=_named(holder), host=context.host, error=error
                )
            ) from error
    if holder.pid and not store_lock(context).is_free():
        raise WorkError(
            _("{holder} watches on {host}, but takes no requests: its log tells why").format(
                holder=holder, host=context.host
            )
        )
    return None


def request_or_open_store(
    context: RunContext, request: Mapping[str, Any], on_store: Callable[[Store], dict[str, Any]]
) -> dict[str, Any]:
    """
    The answer of the program that watches, else what `on_store` does on its state.

    Raises WorkError where it is refused, and for a demo that does not run: its state is nowhere else.
    """
    try:
        answer = reach(context, request)
    except WorkError as error:
        if context.simulated or isinstance(error.__cause__, control.RequestRefusedError):
            raise
        answer = None  # who watches finds it in the state at its next look
    if answer is not None:
        return answer
    if context.simulated:
        raise WorkError(_("no demo is running: `gpuwatch-tray --demo` starts one"))
    with closing(open_store(context)) as store:
        return on_store(store)


def require(context: RunContext, request: Mapping[str, Any], timeout: float = 2.0) -> dict[str, Any]:
    """As `reach`, but raises WorkError where there is none to ask."""
    answer = reach(context, request, timeout)
    if answer is None:
        start = "gpuwatch-tray --demo" if context.simulated else "gpuwatch-tray"
        text = _("nothing watches {what}: `{start}` starts the tray")
        if not context.simulated:
            text = _(
                "nothing watches {what}: `{start}` starts the tray;"
                " of a demo, as `make run` may start one, ask with --demo"
            )
        raise WorkError(text.format(what=watched(context), start=start))
    return answer


def watched(context: RunContext) -> str:
    """What the state is about, for people."""
    return (
        _("the demo's GPUs on {host}").format(host=context.host)
        if context.simulated
        else _("the GPUs here ({name})").format(name=context.state_name)
    )


def store_lock(context: RunContext) -> StoreLock:
    """The lock of this state; a demo's is in a folder that nobody else knows."""
    return StoreLock(context.settings.state, context.state_name)


def lock_holder(context: RunContext) -> LockHolder:
    """Who holds the lock, as far as it can be known from here."""
    return LockHolder() if context.simulated else store_lock(context).holder()


def _named(holder: LockHolder) -> str:
    return str(holder) if holder.pid else _("the running program")
