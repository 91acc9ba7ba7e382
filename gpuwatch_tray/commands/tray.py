"""Without a command: the tray, and where there is no desktop the same loop in the terminal."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray.app import Occupied, Tenure, courier, evaluator, tenure
from gpuwatch_tray.bus import BusUnavailable, SessionBus
from gpuwatch_tray.commands.watch import STOP_WITHIN, end_signals, headless
from gpuwatch_tray.machine import this_program
from gpuwatch_tray.model import Popup, Severity, Status
from gpuwatch_tray.notifiers import Popups, PopupSink
from gpuwatch_tray.notifiers.fallback import CallbackPopups, plyer_popups
from gpuwatch_tray.reading import open_source
from gpuwatch_tray.tray import Actions, Tray
from gpuwatch_tray.watching import Faces, Watching

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from gpuwatch_tray.context import Setup

log = logging.getLogger(__name__)

WITHOUT_BUS = ("win32", "darwin")  # pystray draws there by itself
TEST_MAIL_WITHIN = 150.0  # seconds: the reading, the connection and the answer have their own, shorter ones


def run(setup: Setup) -> int:
    """
    Show the tray until Quit, SIGTERM or SIGINT; 0 also when another process watches on this host already.

    A broken configuration does not keep it from starting: it goes on with the keys that are right, warns
    and names each problem.
    """
    for problem in setup.problems:
        log.warning("%s", problem)
    try:
        bus = desktop_bus()
    except BusUnavailable as error:
        print(f"no desktop here ({error}): watching in the terminal; Ctrl-C ends", flush=True)
        return headless(setup)
    try:
        return _run(setup, bus)
    finally:
        if bus is not None:
            bus.close()


def desktop_bus() -> SessionBus | None:
    """
    The session bus of a desktop, None on systems that draw without one.

    Raises BusUnavailable where there is none, or no desktop on it, as over SSH.
    """
    if sys.platform in WITHOUT_BUS:
        return None
    from gpuwatch_tray.tray.sni import WATCHER

    bus = SessionBus.connect()
    if any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")) or bus.has_owner(WATCHER):
        return bus
    bus.close()
    raise BusUnavailable("neither DISPLAY nor WAYLAND_DISPLAY is set, and no panel is on the session bus")


def _run(setup: Setup, bus: SessionBus | None) -> int:
    try:
        with tenure(setup, "tray") as held:
            ended = _show(setup, bus, held)
    except Occupied as other:
        print(f"{other} already")
        return 0
    if not ended:
        # A thread that the kernel keeps in a driver call would keep the interpreter waiting as well.
        log.warning("a driver call does not return: leaving without it")
        logging.shutdown()
        os._exit(0)
    return 0


def _show(setup: Setup, bus: SessionBus | None, held: Tenure) -> bool:
    """The tray from its start to Quit; False when a thread is stuck in the driver."""
    mails = setup.policy.mails
    actions = Actions(
        check_now=lambda: watching.check_now(),  # noqa: PLW0108  # made further down
        send_test_mail=lambda: send_test_mail(setup, popups),
        quit=lambda: tray.stop(),  # noqa: PLW0108
    )
    tray = Tray(bus, actions)
    popups = popup_sink(bus, tray)

    def show(status: Status) -> None:
        tray.show(replace(status, mail_possible=mails))

    faces = Faces(show, popups, courier(setup, held.store), held.report)
    watching = Watching(setup, open_source(setup, held.store), evaluator(setup, held.store), faces)
    _stop_on_signals(tray.stop)

    def begin() -> None:
        watching.start()
        if setup.problems:
            popups.show(problem_popup(setup))

    tray.run(begin)
    if bus is not None:
        bus.close()  # the icon goes first, whatever the driver does
    return watching.stop(STOP_WITHIN)


def popup_sink(bus: SessionBus | None, tray: Tray) -> Popups:
    """The ways to pop up here, best first: the desktop's own service, the icon's own way, plyer."""
    sinks: list[PopupSink] = []
    if bus is not None:
        from gpuwatch_tray.notifiers.desktop import DesktopPopups

        sinks.append(DesktopPopups(bus))
    if tray.notify is not None:
        sinks.append(CallbackPopups(tray.notify, "the tray icon"))
    sinks.append(plyer_popups())
    return Popups(sinks)


def _stop_on_signals(stop: Callable[[], None]) -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    for number in end_signals():
        signal.signal(number, handle)


def problem_popup(setup: Setup) -> Popup:
    """The one popup about the settings: the first problem with file and line, the others counted."""
    first, *others = map(str, setup.problems)
    body = first + (f"\nand {len(others)} more: see the menu" if others else "")
    return Popup("settings", "The settings have an error", body, Severity.WARNING)


def send_test_mail(setup: Setup, popups: PopupSink) -> None:
    """Have a child send a test mail, as `check --test-mail` does, and pop up what came of it."""
    command = [*this_program(), "check", "--test-mail", "--source", setup.source.value]
    try:
        # Only a child loads the mail libraries.
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TEST_MAIL_WITHIN, check=False
        )
        told, failed = (part.decode(errors="replace").strip() for part in (done.stdout, done.stderr))
        sent, text = bool(told), "\n".join(filter(None, [told, failed.replace("gpuwatch-tray: ", "")]))
    except subprocess.TimeoutExpired:
        sent, text = False, f"no answer within {TEST_MAIL_WITHIN:g} s"
    log.info("test mail: %s", text)
    title = "Test mail sent" if sent else "The test mail was not sent"
    severity = Severity.INFO if sent else Severity.WARNING
    popups.show(Popup("test-mail", title, text, severity))
