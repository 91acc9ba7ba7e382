"""`quit`: end the tray or `watch`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gpuwatch_tray import terms
from gpuwatch_tray.context import WorkError
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from gpuwatch_tray.context import RunContext

QUIT_WITHIN = 5.0  # seconds
QUIT_POLL = 0.05  # seconds


def quit_running(
    context: RunContext,
    _args: argparse.Namespace,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Ask the running program to end, and wait until it has; raises WorkError where it does not."""
    from gpuwatch_tray.commands.asking import control_addresses, lock_holder, send_request

    addresses = (lock_holder(context).address, *control_addresses(context))
    answer = send_request(context, {"do": "quit"})
    name = f"{terms.translate_key(answer.get('face', '?'))}, PID {answer.get('pid', '?')}"
    deadline = monotonic() + QUIT_WITHIN
    while not _has_ended(context, addresses):
        if monotonic() >= deadline:
            raise WorkError(
                _("{name}: asked to quit, but still there after {seconds:g} s").format(
                    name=name, seconds=QUIT_WITHIN
                )
            )
        sleep(QUIT_POLL)
    print(_("ended: {name}").format(name=name))
    return 0


def _has_ended(context: RunContext, addresses: Iterable[str]) -> bool:
    """Return whether the program answers no more and has released the lock; a demo's lock is unknown here."""
    from gpuwatch_tray.commands.asking import store_lock

    if any(_answers(address) for address in addresses if address):
        return False
    return context.simulated or store_lock(context).is_free()


def _answers(address: str) -> bool:
    from gpuwatch_tray import control

    try:
        control.ask(address, {"do": "status"}, 4 * QUIT_POLL)
    except control.NotRunningError:
        return False
    except control.ControlError:
        return True
    return True
