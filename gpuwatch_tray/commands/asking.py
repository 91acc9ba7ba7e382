"""The way from a command to the program that watches: where it answers, and what it answers."""

from __future__ import annotations

import logging
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import control
from gpuwatch_tray.app import open_store
from gpuwatch_tray.context import WorkError
from gpuwatch_tray.language import _
from gpuwatch_tray.lock import Holder, WatchLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gpuwatch_tray.context import Setup
    from gpuwatch_tray.store import Store

log = logging.getLogger(__name__)

DEMO = "demo"  # what a demo's state is called here: it has no folder that others could know


@contextmanager
def served(setup: Setup, handlers: Mapping[str, control.Handler]) -> Iterator[str]:
    """
    Answer requests meanwhile; yields the address, for the lock's description.

    Where no socket can be had the address is empty: nobody can ask then, and the watching goes on.
    """
    try:
        server = control.serve(places(setup), handlers)
    except control.ControlError as error:
        log.warning("`status` and `quit` will not reach this one: %s", error)
        yield ""
        return
    try:
        yield server.address
    finally:
        server.stop()


def places(setup: Setup) -> tuple[str, ...]:
    """Where the program that watches this state may answer."""
    return control.addresses(setup.settings.state, DEMO if setup.simulated else setup.state_name)


def reach(setup: Setup, request: Mapping[str, Any], timeout: float = 2.0) -> dict[str, Any] | None:
    """
    The answer of the program that watches this state, None where there is none.

    Raises WorkError where there is one that does not answer, or answers with an error.
    """
    holder = holder_of(setup)
    known = (holder.address,) if holder.address else places(setup)
    for address in known:
        try:
            return control.ask(address, request, timeout)
        except control.NobodyThere:
            continue
        except control.ControlError as error:
            raise WorkError(
                _("{watcher} on {host}: {error}").format(watcher=_named(holder), host=setup.host, error=error)
            ) from error
    if holder.pid and not lock_of(setup).free():
        raise WorkError(
            _("{holder} watches on {host}, but takes no requests: its log tells why").format(
                holder=holder, host=setup.host
            )
        )
    return None


def ask_or_store(
    setup: Setup, request: Mapping[str, Any], on_store: Callable[[Store], dict[str, Any]]
) -> dict[str, Any]:
    """
    The answer of the program that watches, else what `on_store` does on its state.

    Raises WorkError where it is refused, and for a demo that does not run: its state is nowhere else.
    """
    try:
        answer = reach(setup, request)
    except WorkError as error:
        if setup.simulated or isinstance(error.__cause__, control.Refused):
            raise
        answer = None  # who watches finds it in the state at its next look
    if answer is not None:
        return answer
    if setup.simulated:
        raise WorkError(_("no demo is running: `gpuwatch-tray --demo` starts one"))
    with closing(open_store(setup)) as store:
        return on_store(store)


def require(setup: Setup, request: Mapping[str, Any], timeout: float = 2.0) -> dict[str, Any]:
    """As `reach`, but raises WorkError where there is none to ask."""
    answer = reach(setup, request, timeout)
    if answer is None:
        start = "gpuwatch-tray --demo" if setup.simulated else "gpuwatch-tray"
        text = _("nothing watches {what}: `{start}` starts the tray")
        if not setup.simulated:
            text = _(
                "nothing watches {what}: `{start}` starts the tray;"
                " of a demo, as `make run` may start one, ask with --demo"
            )
        raise WorkError(text.format(what=watched(setup), start=start))
    return answer


def watched(setup: Setup) -> str:
    """What the state is about, for people."""
    return (
        _("the demo's GPUs on {host}").format(host=setup.host)
        if setup.simulated
        else _("the GPUs here ({name})").format(name=setup.state_name)
    )


def lock_of(setup: Setup) -> WatchLock:
    """The lock of this state; a demo's is in a folder that nobody else knows."""
    return WatchLock(setup.settings.state, setup.state_name)


def holder_of(setup: Setup) -> Holder:
    """Who holds the lock, as far as it can be known from here."""
    return Holder() if setup.simulated else lock_of(setup).holder()


def _named(holder: Holder) -> str:
    return str(holder) if holder.pid else _("the running program")
