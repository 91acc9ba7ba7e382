"""Without a command: the tray, and where there is no desktop the same loop in the terminal."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gpuwatch_tray import faults, machine, presence
from gpuwatch_tray.app import (
    AlreadyRunningError,
    StoreLease,
    acquire_store,
    create_courier,
    create_evaluator,
    create_recorder,
)
from gpuwatch_tray.attending import AlertOperations
from gpuwatch_tray.awaiting import Reminders
from gpuwatch_tray.bus import PLATFORMS_WITHOUT_BUS, BusUnavailableError, SessionBus
from gpuwatch_tray.commands import autostart, logs
from gpuwatch_tray.commands.deeds import ActionDispatcher
from gpuwatch_tray.commands.greeting import Welcome
from gpuwatch_tray.commands.lastwords import notify_exit
from gpuwatch_tray.commands.reloading import SettingsReloader, problem_popup
from gpuwatch_tray.commands.serving import answering
from gpuwatch_tray.commands.status import describe_namesake, describe_running
from gpuwatch_tray.commands.watch import STOP_WITHIN, end_signals, headless
from gpuwatch_tray.context import RunContext, SourceKind, UsageError
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Popup, Severity, Status
from gpuwatch_tray.notifiers import Popups, PopupSink
from gpuwatch_tray.notifiers.fallback import CallbackPopups, plyer_popups
from gpuwatch_tray.reading import open_source, reconfigure_source
from gpuwatch_tray.settings import Changes
from gpuwatch_tray.tray import Tray, requested_backend
from gpuwatch_tray.watching import Monitor, Outputs

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from gpuwatch_tray.notifiers.clicks import OnButton

log = logging.getLogger(__name__)

COLLECT_EVERY = 50_000  # objects made and not yet freed


class NoDesktopError(Exception):
    """There is nothing to draw on; the text says what is missing."""


def run(context: RunContext) -> int:
    """
    Show the tray until Quit, SIGTERM or SIGINT; 0 also when another process watches on this host already.

    A broken configuration does not keep it from starting: it goes on with the keys that are right, warns
    and names each problem.
    """
    try:
        requested_backend(os.environ)
    except ValueError as error:
        raise UsageError(str(error)) from error
    logs.log_to_file(context)
    try:
        return _run_here(context)
    except Exception as error:
        notify_exit(error)
        raise


def _run_here(context: RunContext) -> int:
    autostart.repair_login_item(context)
    for problem in context.problems:
        log.warning("%s", problem)
    try:
        bus, why = desktop_bus()
    except NoDesktopError as error:
        return _in_the_terminal(context, str(error))
    try:
        return _run(context, bus, why)
    except NoDesktopError as error:
        return _in_the_terminal(context, str(error))
    finally:
        if bus is not None:
            bus.close()


def desktop_bus() -> tuple[SessionBus | None, str]:
    """
    Connect to the session bus of a desktop; None with the reason where there is none.

    Raises NoDesktopError where nothing can be drawn without it, as over SSH.
    """
    if sys.platform in PLATFORMS_WITHOUT_BUS:  # pystray draws there by itself
        return None, ""
    from gpuwatch_tray.tray.sni import WATCHER

    screen = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    try:
        bus = SessionBus.connect()
    except BusUnavailableError as error:
        if screen:
            return None, str(error)
        raise NoDesktopError(str(error)) from error
    if screen or bus.has_owner(WATCHER):
        return bus, ""
    bus.close()
    raise NoDesktopError(_("neither DISPLAY nor WAYLAND_DISPLAY is set, and no panel is on the session bus"))


def _in_the_terminal(context: RunContext, why: str) -> int:
    return headless(
        context, _("no desktop here ({why}): watching in the terminal; Ctrl-C ends").format(why=why)
    )


def _settle_memory() -> None:
    """
    Spare the collector what lives as long as the program, and let it look less often.

    A menu of 800 processes is rebuilt at each poll from thousands of small objects without cycles: at the
    default thresholds looking through them takes most of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)


def _run(context: RunContext, bus: SessionBus | None, why: str) -> int:
    try:
        with acquire_store(context, "tray") as lease:
            if bus is not None and (pid := _claimed(context, bus)) is not None:
                print("\n".join(describe_namesake(context, pid)))
                return 0
            ended = _show(context, bus, lease, why)
    except AlreadyRunningError as other:
        print("\n".join(describe_running(other.holder)))
        return 0
    if not ended:
        # A thread that the kernel keeps in a driver call would keep the interpreter waiting as well.
        log.warning("a driver call does not return: leaving without it")
        logging.shutdown()
        os._exit(0)
    return 0


def _claimed(context: RunContext, bus: SessionBus) -> int | None:
    """Return the PID of another tray of this session that watches the same; None where there is none."""
    from gpuwatch_tray.tray import instance

    watched = "demo" if context.simulated else ""
    if context.source is SourceKind.COMMAND:
        watched = context.state_name
    return instance.claim_name(bus, instance.bus_name_for(watched))


def _show(context: RunContext, bus: SessionBus | None, lease: StoreLease, why: str) -> bool:
    """Run the tray from its start to Quit; False when a thread is stuck in the driver."""
    store, settings = lease.store, context.settings
    dispatcher = ActionDispatcher(
        context,
        AlertOperations(store, machine.now),
        Reminders(store, machine.now),
        lambda: tray.stop(),  # noqa: PLW0108  # the tray is made on the next lines
    )
    tray = Tray(bus, dispatcher.actions(), style=settings.icon_style, badge=settings.icon_badge)
    if bus is None and not tray.has_icon:
        raise NoDesktopError(why)
    popups = popup_sink(bus, tray, dispatcher.on_popup_button)
    welcome = Welcome(context, store, popups, dispatcher.welcome_buttons)

    def show_status(status: Status) -> None:
        tray.show(replace(status, mail_possible=dispatcher.mails))
        dispatcher.refresh_extras()

    start_detector = partial(presence.start_detector, bus, os.environ)
    with (
        closing(presence.AdjustableDetector(start_detector, settings.away)) as detector,
        faults.report_errors(partial(_show_error, popups)),
    ):
        outputs = Outputs(
            show_status, popups, create_courier(context, store), lease.report_trouble, welcome.on_snapshot
        )
        engine = create_evaluator(context, store, presence=detector.check)
        source, recorder = open_source(context, store), create_recorder(context, store)
        monitor = Monitor(context, source, engine, outputs, recorder=recorder)
        dispatcher.bind(monitor, engine.alerts_of_popup, popups, tray.show_extras, tray.perform)
        _stop_on_signals(tray.stop)

        def reconfigure(new: RunContext) -> None:
            tray.set_icon_style(new.settings.icon_style, badge=new.settings.icon_badge)
            detector.adjust(new.settings.away)
            reconfigure_source(source, new)
            dispatcher.reconfigure(new)

        reloader = SettingsReloader(context, lease, monitor, Changes(os.environ), reconfigure, popups)
        _settle_memory()

        def start() -> None:
            monitor.start()
            if context.problems:
                popups.show(problem_popup(context, _("The settings have an error")))
            reloader.start()

        if bus is not None and tray.needs_panel:
            _watch_for_a_panel(bus, popups)
        with answering(context, lease, monitor, tray.stop):
            tray.run(start)
            reloader.stop()
            popups.end()  # their buttons would do nothing any more
            if bus is not None:
                bus.close()  # the icon goes first, whatever the driver does
        return monitor.stop(STOP_WITHIN)


def _show_error(popups: PopupSink, what: str) -> None:
    """Show a popup about an error of the program itself."""
    advice = _(
        "It is in the log, and the work goes on. `gpuwatch-tray doctor --report FILE` writes what a bug"
        " report needs."
    )
    popups.show(Popup("fault", _("An error in gpuwatch-tray"), f"{what}\n{advice}", Severity.WARNING))


def _watch_for_a_panel(bus: SessionBus, popups: PopupSink) -> None:
    """Say once what to install where nobody shows tray icons."""
    from gpuwatch_tray.tray.hostwatch import MissingHostDetector

    def show_advice(advice: str) -> None:
        popups.show(Popup("no-host", _("There is no tray for the icon"), advice, Severity.WARNING))

    MissingHostDetector(bus, show_advice, os.environ).start()


def popup_sink(bus: SessionBus | None, tray: Tray, on_button: OnButton) -> Popups:
    """Return the popup sinks here, best first: the desktop's own service, the icon's own way, plyer."""
    sinks: list[PopupSink] = []
    if bus is not None:
        from gpuwatch_tray.notifiers.desktop import DesktopPopups

        sinks.append(DesktopPopups(bus))
    if tray.notify is not None:
        sinks.append(CallbackPopups(tray.notify, "the tray icon"))
    sinks.append(plyer_popups())
    return Popups(sinks, on_button)


def _stop_on_signals(stop: Callable[[], None]) -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    for number in end_signals():
        signal.signal(number, handle)
