"""The client of the running tray or `watch`: requests over the control socket, or the store without it."""

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

DEMO = "demo"  # the state's name for a demo's address: another process cannot know its folder


@contextmanager
def serve_requests(context: RunContext, handlers: Mapping[str, control.Handler]) -> Iterator[str]:
    """
    Answer requests during the block; yields the socket's address, for the lock's description.

    Without a usable socket the address is empty: no request can arrive, and the monitor runs all the same.
    """
    try:
        server = control.serve(control_addresses(context), handlers)
    except control.ControlError as error:
        log.warning("`status` and `quit` will not reach this one: %s", error)
        yield ""
        return
    try:
        yield server.address
    finally:
        server.stop()


def control_addresses(context: RunContext) -> tuple[str, ...]:
    """Return the possible addresses of the program that watches this state, best first."""
    return control.addresses(context.settings.state, DEMO if context.simulated else context.state_name)


def try_request(
    context: RunContext, request: Mapping[str, Any], timeout: float = 2.0
) -> dict[str, Any] | None:
    """
    Send `request` to the program that watches this state and return its answer, None where none runs.

    Raises WorkError where one runs that does not answer, or answers with an error.
    """
    holder = lock_holder(context)
    for address in (holder.address,) if holder.address else control_addresses(context):
        try:
            return control.ask(address, request, timeout)
        except control.NotRunningError:
            continue
        except control.ControlError as error:
            raise WorkError(
                _("{watcher} on {host}: {error}").format(
                    watcher=_holder_name(holder), host=context.host, error=error
                )
            ) from error
    if holder.pid and not store_lock(context).is_free():
        raise WorkError(
            _("{holder} watches on {host}, but takes no requests: its log tells why").format(
                holder=holder, host=context.host
            )
        )
    return None


def request_or_use_store(
    context: RunContext, request: Mapping[str, Any], on_store: Callable[[Store], dict[str, Any]]
) -> dict[str, Any]:
    """
    Send `request` to the running program; where none runs, return what `on_store` does on the store.

    Raises WorkError where the request is refused, and for a demo that does not run, which has no store.
    """
    try:
        answer = try_request(context, request)
    except WorkError as error:
        if context.simulated or isinstance(error.__cause__, control.RequestRefusedError):
            raise
        answer = None  # the running program reads the change from the store
    if answer is not None:
        return answer
    if context.simulated:
        raise WorkError(_("no demo is running: `gpuwatch-tray --demo` starts one"))
    with closing(open_store(context)) as store:
        return on_store(store)


def send_request(context: RunContext, request: Mapping[str, Any], timeout: float = 2.0) -> dict[str, Any]:
    """Send `request` as `try_request` does; raises WorkError where nothing runs."""
    answer = try_request(context, request, timeout)
    if answer is None:
        start = "gpuwatch-tray --demo" if context.simulated else "gpuwatch-tray"
        text = _("nothing watches {what}: `{start}` starts the tray")
        if not context.simulated:
            text = _(
                "nothing watches {what}: `{start}` starts the tray;"
                " of a demo, as `make run` may start one, ask with --demo"
            )
        raise WorkError(text.format(what=describe_target(context), start=start))
    return answer


def describe_target(context: RunContext) -> str:
    """Name the GPUs that this state is about."""
    return (
        _("the demo's GPUs on {host}").format(host=context.host)
        if context.simulated
        else _("the GPUs here ({name})").format(name=context.state_name)
    )


def store_lock(context: RunContext) -> StoreLock:
    """Return the lock of this state; not for a demo, whose folder is unknown here."""
    return StoreLock(context.settings.state, context.state_name)


def lock_holder(context: RunContext) -> LockHolder:
    """Return the description of the lock's holder; an empty one for a demo."""
    return LockHolder() if context.simulated else store_lock(context).holder()


def _holder_name(holder: LockHolder) -> str:
    return str(holder) if holder.pid else _("the running program")
