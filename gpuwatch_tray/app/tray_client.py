"""The client of the running tray or `watch`: requests over the control socket, or the store without it."""

from __future__ import annotations

import logging
import os
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import ipc
from gpuwatch_tray.app.context import DEMO, WorkError, store_lock
from gpuwatch_tray.app.status_json import status_lines
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.ipc.lock import LockHolder
    from gpuwatch_tray.store import Store


log = logging.getLogger(__name__)

DESCRIBED_WITHIN = 1.0  # seconds between the taking of a lock and its description
ANSWER_WITHIN = 5.0  # seconds for the running program to answer, on a busy machine


@contextmanager
def serve_requests(context: RunContext, handlers: Mapping[str, ipc.Handler]) -> Iterator[str]:
    """Answer requests during the block; yields the socket's address, empty where none can be used."""
    try:
        server = ipc.serve(control_addresses(context), handlers)
    except ipc.ControlError as error:
        log.warning("`status` and `quit` will not reach this one: %s", error)
        yield ""
        return
    try:
        yield server.address
    finally:
        server.stop()


def control_addresses(context: RunContext) -> tuple[str, ...]:
    """Return the possible addresses of the program that watches this state, best first."""
    return ipc.addresses(context.settings.state, DEMO if context.simulated else context.state_name)


def try_request(
    context: RunContext, request: Mapping[str, Any], timeout: float = ANSWER_WITHIN
) -> dict[str, Any] | None:
    """Send `request` to the running program; None where none runs, WorkError for an error or no answer."""
    holder = lock_holder(context)
    for address in (holder.address,) if holder.address else control_addresses(context):
        try:
            return ipc.ask(address, request, timeout)
        except ipc.NotRunningError:
            continue
        except ipc.ControlError as error:
            watcher = str(holder) if holder.pid else _("the running program")
            text = _("{watcher} on {host}: {error}")
            raise WorkError(text.format(watcher=watcher, host=context.host, error=error)) from error
    if holder.pid and not store_lock(context).is_free():
        text = _("{holder} is watching on {host}, but accepts no requests: see its log")
        raise WorkError(text.format(holder=holder, host=context.host))
    return None


def request_or_use_store(
    context: RunContext, request: Mapping[str, Any], on_store: Callable[[Store], dict[str, Any]]
) -> dict[str, Any]:
    """Return the running program's answer, else that of `on_store`; raises WorkError if refused."""
    try:
        answer = try_request(context, request)
    except WorkError as error:
        if context.simulated or isinstance(error.__cause__, ipc.RequestRefusedError):
            raise
        answer = None  # the running program reads the change from the store
    if answer is not None:
        return answer
    if context.simulated:
        raise WorkError(_("no demo is running: `gpuwatch-tray --demo` starts one"))
    from gpuwatch_tray.app.bootstrap import open_store  # late: the running program answers without

    with closing(open_store(context)) as store:
        return on_store(store)


def send_request(
    context: RunContext, request: Mapping[str, Any], timeout: float = ANSWER_WITHIN
) -> dict[str, Any]:
    """Send `request` as `try_request` does; raises WorkError where nothing runs."""
    answer = try_request(context, request, timeout)
    if answer is None:
        start = "gpuwatch-tray --demo" if context.simulated else "gpuwatch-tray"
        text = _("nothing is watching {what}: `{start}` starts the tray")
        if not context.simulated:
            text = _(
                "nothing is watching {what}: `{start}` starts the tray; for a demo, as `make run` "
                "may start one, add --demo"
            )
        where = _("the demo's GPUs on {host}") if context.simulated else _("the GPUs here ({name})")
        what = where.format(host=context.host, name=context.state_name)
        raise WorkError(text.format(what=what, start=start))
    return answer


def lock_holder(context: RunContext) -> LockHolder:
    """Return the description of the lock's holder."""
    return store_lock(context).holder()


def lock_problem(context: RunContext) -> str:
    """Say that nobody answers for the lock that is held; empty where it is free, or somebody does."""
    lock = store_lock(context)
    until = time.monotonic() + DESCRIBED_WITHIN
    while not _is_known(lock.holder()):
        if lock.is_free():
            return ""
        if time.monotonic() >= until:
            text = _("{file} is locked, but no process answers for it: end the process that `fuser` shows")
            return text.format(file=lock.path)
        time.sleep(DESCRIBED_WITHIN / 10)
    return ""


def _is_known(holder: LockHolder) -> bool:
    """Return whether the holder answers, or where it has no socket is a living process of this user."""
    if holder.address:
        try:
            ipc.ask(holder.address, STATUS_REQUEST, ANSWER_WITHIN)
        except ipc.RequestRefusedError:
            return True
        except ipc.ControlError:
            return False
        return True
    if os.name == "posix" and holder.pid > 0:
        try:
            os.kill(holder.pid, 0)
        except (OSError, OverflowError):
            return False
    return holder.pid > 0


STATUS_REQUEST = {"do": "status"}


def describe_running(holder: LockHolder, clock: Callable[[], float] = time.time) -> list[str]:
    """Return what a second start prints: the lock's holder, and its status if it answers."""
    first = _("{holder} is already watching").format(holder=holder)
    if not holder.address:
        return [first]
    try:
        return [first, *status_lines(ipc.ask(holder.address, STATUS_REQUEST, ANSWER_WITHIN), clock())]
    except ipc.ControlError as error:
        return [_("{watcher}, but it could not be reached: {error}").format(watcher=first, error=error)]


def second_start_lines(context: RunContext, holder: LockHolder) -> list[str]:
    """Return what a second start says; raises WorkError where nobody answers for the lock."""
    if why := lock_problem(context):
        raise WorkError(why)
    return describe_running(holder)


def describe_namesake(context: RunContext, pid: int, clock: Callable[[], float] = time.time) -> list[str]:
    """Return the same of the tray that owns this session's bus name; its state may be in another folder."""
    holder = lock_holder(context)
    if holder.pid == pid and holder.address:
        return describe_running(holder, clock)
    known = _("tray, PID {pid} is already watching in this session")
    first = known.format(pid=pid) if pid else _("another tray is in this session")
    for address in control_addresses(context):
        try:
            return [first, *status_lines(ipc.ask(address, STATUS_REQUEST, ANSWER_WITHIN), clock())]
        except ipc.ControlError:
            continue
    return [first]
