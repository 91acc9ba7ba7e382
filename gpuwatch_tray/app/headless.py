"""`watch`: the loop without a tray, in a terminal or as a service."""

from __future__ import annotations

import os
import queue
import signal
import sys
import textwrap
import threading
from functools import partial
from typing import TYPE_CHECKING

from gpuwatch_tray.app.bootstrap import (
    AlreadyRunningError,
    StoreLease,
    acquire_store,
    create_chat_processes,
    create_engine,
    create_outbox_process,
    create_recorder,
)
from gpuwatch_tray.app.context import open_source, reconfigure_source
from gpuwatch_tray.app.control import answering
from gpuwatch_tray.app.error_reports import report_errors
from gpuwatch_tray.app.installation import Relaunch
from gpuwatch_tray.app.lab_watch import LabWatch
from gpuwatch_tray.app.monitor import Monitor, Outputs
from gpuwatch_tray.app.private_log import log_to_file
from gpuwatch_tray.app.reload import SettingsReloader
from gpuwatch_tray.app.tray_client import second_start_lines
from gpuwatch_tray.common import host
from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import LABEL
from gpuwatch_tray.settings import Changes

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from gpuwatch_tray.app.context import RunContext


COLUMNS = 79  # of the terminal for what is not wrapped by itself
STOP_WITHIN = 1.0  # seconds for the threads to end


def run(context: RunContext) -> int:
    """Watch until SIGINT or SIGTERM. Beside another watcher of this host: say so, and end with 0."""
    context.require_valid_settings()
    log_to_file(context)
    relaunch = Relaunch()
    code = headless(context, relaunch)
    relaunch.start_anew()
    return code


def headless(context: RunContext, relaunch: Relaunch, greeting: str = "") -> int:
    """Run the loop in the terminal; with a broken configuration it goes on with the keys that are right."""
    try:
        with acquire_store(context, "watch") as lease:
            if greeting:
                print(textwrap.fill(greeting, COLUMNS), flush=True)
            _loop(context, lease, relaunch)
    except AlreadyRunningError as other:
        print("\n".join(second_start_lines(context, other.holder)))
    return 0


def _loop(context: RunContext, lease: StoreLease, relaunch: Relaunch) -> None:
    from gpuwatch_tray.app.terminal import create_output  # late: the tray needs the rest of this module

    output = create_output(sys.stdout, hints=_hints(context))
    outputs = Outputs(
        output.show,
        mail=create_outbox_process(context, lease.store),
        chats=create_chat_processes(context, lease.store),
        report_trouble=lambda trouble: lease.describe(trouble=trouble),
    )
    source, engine = open_source(context, lease.store), create_engine(context, lease.store)
    monitor = Monitor(context, source, engine, outputs, recorder=create_recorder(context, lease.store))

    def reconfigure(new: RunContext) -> None:
        reconfigure_source(source, new)
        lab.reconfigure(new)

    reloader = SettingsReloader(context, lease, monitor, Changes(os.environ), reconfigure)
    lab = LabWatch("watch", monitor.set_lab)
    done = threading.Event()
    installation = relaunch.watch(monitor, None, done.set, partial(can_stop, monitor, lease))
    stop_on_signals(done.set)
    # A fault is in the terminal already, by its log line.
    with report_errors(lambda _what: None), answering(context, lease, monitor, done.set, lab):
        monitor.start()
        lab.start(context)
        reloader.start()
        installation.start()
        while not done.wait(1.0):  # a bounded wait lets Windows deliver Ctrl-C
            pass
    reloader.stop()
    installation.stop()
    lab.stop(STOP_WITHIN)
    monitor.stop(STOP_WITHIN)
    output.stop(STOP_WITHIN)


def _hints(context: RunContext) -> list[str]:
    """Return what a person can type next, in lines of at most 80 columns."""
    # As seen from the folder in which the person is: `make run` has put it on no PATH.
    command = host.called_as().removeprefix(os.path.join(os.environ.get("PWD", "."), ""))  # noqa: PTH118
    if context.simulated:
        command += " --demo"
    return [
        *([_(LABEL)] if context.simulated else []),
        _("Watching. Stop with Ctrl-C. In another terminal:"),
        f"{command} status",
        # Short, for the terminal writes ^C behind it: what does not fit there would move the summary.
        _("(also: ps --all, alerts, report, --help)"),
    ]


def can_stop(monitor: Monitor, lease: StoreLease) -> bool:
    """Return whether the program could end now: no reading hangs, and all that it knows is on disk."""
    return not monitor.is_stale and lease.store.trouble is None


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` when the program is asked to end: by Ctrl-C, a service's stop, a closed terminal."""
    # On a thread of its own. A handler runs between any two steps of the main thread, which may hold the very
    # lock that `stop` takes, and would wait for itself: so does Event.set within Event.wait. This queue alone
    # may be filled from a handler.
    asked: queue.SimpleQueue[int] = queue.SimpleQueue()

    def handle(number: int, _frame: FrameType | None) -> None:
        asked.put(number)

    def stop_when_asked() -> None:
        while asked.get():
            stop()

    start_thread("signals", stop_when_asked)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), handle)
