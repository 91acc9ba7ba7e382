"""`quit`: end the tray or `watch`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gpuwatch_tray import control, terms
from gpuwatch_tray.commands.asking import holder_of, lock_of, places, require
from gpuwatch_tray.context import WorkError
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpuwatch_tray.context import Setup

WITHIN = 5.0  # seconds for it to go
STEP = 0.05


def run(
    setup: Setup,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Ask the program that watches to end, and wait until it has gone; raises WorkError where it does not."""
    known = (holder_of(setup).address, *places(setup))
    answer = require(setup, {"do": "quit"})
    name = f"{terms.translate_key(answer.get('face', '?'))}, PID {answer.get('pid', '?')}"
    deadline = monotonic() + WITHIN
    while not _gone(setup, known):
        if monotonic() >= deadline:
            raise WorkError(
                _("{name}: asked to quit, but still there after {seconds:g} s").format(
                    name=name, seconds=WITHIN
                )
            )
        sleep(STEP)
    print(_("ended: {name}").format(name=name))
    return 0


def _gone(setup: Setup, known: Iterable[str]) -> bool:
    """Whether it answers no more and has given the lock back; a demo's lock is nobody's business."""
    if any(_answers(address) for address in known if address):
        return False
    return setup.simulated or lock_of(setup).free()


def _answers(address: str) -> bool:
    try:
        control.ask(address, {"do": "status"}, 4 * STEP)
    except control.NobodyThere:
        return False
    except control.ControlError:
        return True
    return True
