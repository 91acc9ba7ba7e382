"""`watch`: the loop without a tray, which tells each change of state in a line."""

from __future__ import annotations

import os
import signal
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, TextIO

from gpuwatch_tray import i18n
from gpuwatch_tray.app import logs
from gpuwatch_tray.app.bootstrap import (
    AlreadyRunningError,
    StoreLease,
    acquire_store,
    create_engine,
    create_outbox_process,
    create_recorder,
    open_source,
    reconfigure_source,
)
from gpuwatch_tray.app.control import answering
from gpuwatch_tray.app.installation import Relaunch
from gpuwatch_tray.app.monitor import Monitor, Outputs
from gpuwatch_tray.app.reload import SettingsReloader
from gpuwatch_tray.app.tray_client import second_start_lines
from gpuwatch_tray.common.text import pad_to_width
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import LABEL, labelled
from gpuwatch_tray.model.units import local_time
from gpuwatch_tray.settings import Changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from gpuwatch_tray.app.bootstrap import RunContext
    from gpuwatch_tray.model import Status


STOP_WITHIN = 1.0  # seconds for the threads to end


def run(context: RunContext) -> int:
    """Watch until SIGINT or SIGTERM. Beside another watcher of this host: say so, and end with 0."""
    context.require_valid_settings()
    logs.log_to_file(context)
    relaunch = Relaunch()
    code = headless(context, relaunch)
    relaunch.start_anew()
    return code


def headless(context: RunContext, relaunch: Relaunch, greeting: str = "") -> int:
    """Run the loop in the terminal; with a broken configuration it goes on with the keys that are right."""
    try:
        with acquire_store(context, "watch") as lease:
            if greeting:
                print(greeting, flush=True)
            _loop(context, lease, relaunch)
    except AlreadyRunningError as other:
        print("\n".join(second_start_lines(context, other.holder)))
    return 0


def _loop(context: RunContext, lease: StoreLease, relaunch: Relaunch) -> None:
    if context.simulated:
        print(_(LABEL), flush=True)
    printer = Printer(sys.stdout)
    outputs = Outputs(
        printer.show,
        mail=create_outbox_process(context, lease.store),
        report_trouble=lambda trouble: lease.describe(trouble=trouble),
    )
    source, engine = open_source(context, lease.store), create_engine(context, lease.store)
    monitor = Monitor(context, source, engine, outputs, recorder=create_recorder(context, lease.store))
    reloader = SettingsReloader(
        context, lease, monitor, Changes(os.environ), partial(reconfigure_source, source)
    )
    done = threading.Event()
    installation = relaunch.watch(monitor, None, done.set, partial(can_stop, monitor, lease))
    stop_on_signals(done.set)
    # A fault is in the terminal already, by its log line.
    with logs.report_errors(lambda _what: None), answering(context, lease, monitor, done.set):
        monitor.start()
        reloader.start()
        installation.start()
        while not done.wait(1.0):  # a bounded wait lets Windows deliver Ctrl-C
            pass
    reloader.stop()
    installation.stop()
    monitor.stop(STOP_WITHIN)


def can_stop(monitor: Monitor, lease: StoreLease) -> bool:
    """Return whether the program could end now: no reading hangs, and all that it knows is on disk."""
    return not monitor.is_stale and lease.store.trouble is None


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` when the program is asked to end: by Ctrl-C, a service's stop, a closed terminal."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), handle)


class Printer:
    """Writes a line for each change of state, not for each poll."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last: tuple[object, ...] = ()
        self._due: frozenset[int] = frozenset()

    def show(self, status: Status) -> None:
        """Print `status` where it differs from the one before in more than its numbers, and new notices."""
        self._show_state(status)
        due = {reminder.id: reminder.text for reminder in status.awaited if reminder.due}
        self._print(status.at, [(_("notice"), due[number]) for number in due.keys() - self._due])
        self._due = frozenset(due)

    def _show_state(self, status: Status) -> None:
        names = tuple(alert.fingerprint for alert in status.alerts)
        state = (status.level, names, status.notes, status.headline if not names else "")
        if state == self._last:
            return
        notes = status.notes if not self._last or status.notes != self._last[2] else ()
        self._last = state
        level = i18n.translate_key(status.level.name.lower())
        reasons = [alert.reason for alert in status.alerts] or [status.headline]
        simulated = status.snapshot is not None and status.snapshot.simulated
        lines = [(level, labelled(reason, simulated=simulated)) for reason in reasons]
        lines += [(_("note"), note) for note in notes]
        self._print(status.at, lines)

    def _print(self, at: float, lines: Iterable[tuple[str, str]]) -> None:
        time_text = local_time(at)
        for kind, line in lines:
            print(f"{time_text}  {pad_to_width(kind, 8)}  {line}", file=self._out, flush=True)
