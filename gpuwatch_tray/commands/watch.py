"""`watch`: the loop without a tray, which tells each change of state in a line."""

from __future__ import annotations

import os
import signal
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, TextIO

from gpuwatch_tray import faults, terms
from gpuwatch_tray.app import (
    AlreadyRunningError,
    StoreLease,
    acquire_store,
    create_courier,
    create_evaluator,
    create_recorder,
)
from gpuwatch_tray.columns import pad_to_width
from gpuwatch_tray.commands import logs
from gpuwatch_tray.commands.reloading import SettingsReloader
from gpuwatch_tray.commands.serving import answering
from gpuwatch_tray.commands.status import describe_running
from gpuwatch_tray.language import _
from gpuwatch_tray.model import LABEL, labelled
from gpuwatch_tray.reading import open_source, reconfigure_source
from gpuwatch_tray.settings import Changes
from gpuwatch_tray.units import local_time
from gpuwatch_tray.watching import Monitor, Outputs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from gpuwatch_tray.context import RunContext
    from gpuwatch_tray.model import Status

STOP_WITHIN = 1.0  # seconds for the threads to end


def run(setup: RunContext) -> int:
    """Watch until SIGINT or SIGTERM. Beside another watcher of this host: say so, and end with 0."""
    setup.require_valid_settings()
    logs.log_to_file(setup)
    return headless(setup)


def headless(setup: RunContext, greeting: str = "") -> int:
    """The loop in the terminal; with a broken configuration it goes on with the keys that are right."""
    try:
        with acquire_store(setup, "watch") as held:
            if greeting:
                print(greeting, flush=True)
            _loop(setup, held)
    except AlreadyRunningError as other:
        print("\n".join(describe_running(other.holder)))
    return 0


def _loop(setup: RunContext, held: StoreLease) -> None:
    if setup.simulated:
        print(_(LABEL), flush=True)
    printer = Printer(sys.stdout)
    faces = Outputs(printer.show, courier=create_courier(setup, held.store), report=held.report_trouble)
    source, judge = open_source(setup, held.store), create_evaluator(setup, held.store)
    watching = Monitor(setup, source, judge, faces, recorder=create_recorder(setup, held.store))
    reloading = SettingsReloader(
        setup, held, watching, Changes(os.environ), partial(reconfigure_source, source)
    )
    done = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        done.set()

    for number in end_signals():
        signal.signal(number, stop)
    # A fault is in the terminal already, by its log line.
    with faults.report_errors(lambda _what: None), answering(setup, held, watching, done.set):
        watching.start()
        reloading.start()
        while not done.wait(1.0):  # a bounded wait lets Windows deliver Ctrl-C
            pass
    reloading.stop()
    watching.stop(STOP_WITHIN)


def end_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask a program to end: Ctrl-C, a service's stop, a terminal that is closed."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


class Printer:
    """Writes a line for each change of state, not for each poll."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last: tuple[object, ...] = ()
        self._due: frozenset[int] = frozenset()

    def show(self, status: Status) -> None:
        """
        Print `status` where it differs from the one before in more than its numbers.

        A notice that nobody is mailed stands here; it stays to be told where there is a desktop.
        """
        self._show_state(status)
        due = {each.id: each.text for each in status.awaited if each.due}
        self._print(status.at, [(_("notice"), due[number]) for number in due.keys() - self._due])
        self._due = frozenset(due)

    def _show_state(self, status: Status) -> None:
        names = tuple(alert.fingerprint for alert in status.alerts)
        state = (status.level, names, status.notes, status.headline if not names else "")
        if state == self._last:
            return
        notes = status.notes if not self._last or status.notes != self._last[2] else ()
        self._last = state
        level = terms.translate_key(status.level.name.lower())
        reasons = [alert.reason for alert in status.alerts] or [status.headline]
        simulated = status.snapshot is not None and status.snapshot.simulated
        lines = [(level, labelled(reason, simulated=simulated)) for reason in reasons]
        lines += [(_("note"), note) for note in notes]
        self._print(status.at, lines)

    def _print(self, at: float, lines: Iterable[tuple[str, str]]) -> None:
        time_text = local_time(at)
        for kind, line in lines:
            print(f"{time_text}  {pad_to_width(kind, 8)}  {line}", file=self._out, flush=True)
