"""`quit`: end the tray or `watch`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gpuwatch_tray import control, terms
from gpuwatch_tray.commands.asking import control_addresses, lock_holder, send_request, store_lock
from gpuwatch_tray.context import WorkError
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpuwatch_tray.context import RunContext

WITHIN = 5.0  # seconds for it to go
STEP = 0.05


def run(
    context: RunContext,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Ask the program that watches to end, and wait until it has gone; raises WorkError where it does not."""
    known = (lock_holder(context).address, *control_addresses(context))
    answer = send_request(context, {"do": "quit"})
    name = f"{terms.said(answer.get('face', '?'))}, PID {answer.get('pid', '?')}"
    deadline = monotonic() + WITHIN
    while not _gone(context, known):
        if monotonic() >= deadline:
            raise WorkError(
                _("{name}: asked to quit, but still there after {seconds:g} s").format(
                    name=name, seconds=WITHIN
                )
            )
        sleep(STEP)
    print(_("ended: {name}").format(name=name))
    return 0


def _gone(context: RunContext, known: Iterable[str]) -> bool:
    """Whether it answers no more and has given the lock back; a demo's lock is nobody's business."""
    if any(_answers(address) for address in known if address):
        return False
    return context.simulated or store_lock(context).is_free()


def _answers(address: str) -> bool:
    try:
        control.ask(address, {"do": "status"}, 4 * STEP)
    except control.NotRunningError:
        return False
    except control.ControlError:
        return True
    return True
