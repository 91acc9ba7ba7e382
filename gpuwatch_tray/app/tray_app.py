"""Without a command: the tray, and where there is no desktop the same loop in the terminal."""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.app import login_item
from gpuwatch_tray.app.actions import ActionDispatcher
from gpuwatch_tray.app.bootstrap import (
    AlreadyRunningError,
    StoreLease,
    acquire_store,
    create_chat_processes,
    create_engine,
    create_outbox_process,
    create_recorder,
)
from gpuwatch_tray.app.context import (
    RunContext,
    SourceKind,
    UsageError,
    WorkError,
    open_source,
    reconfigure_source,
)
from gpuwatch_tray.app.control import answering
from gpuwatch_tray.app.error_reports import report_errors
from gpuwatch_tray.app.headless import STOP_WITHIN, can_stop, headless, stop_on_signals
from gpuwatch_tray.app.installation import Relaunch
from gpuwatch_tray.app.lab_watch import LabWatch
from gpuwatch_tray.app.monitor import Monitor, Outputs
from gpuwatch_tray.app.private_log import log_to_file
from gpuwatch_tray.app.reload import SettingsReloader, problem_popup
from gpuwatch_tray.app.tray_client import describe_namesake, second_start_lines
from gpuwatch_tray.common import host, redact
from gpuwatch_tray.desktop import presence
from gpuwatch_tray.desktop.dbus import (
    PLATFORMS_WITHOUT_BUS,
    BusUnavailableError,
    SessionBus,
    temporary_session,
)
from gpuwatch_tray.engine.operations import AlertOperations, Reminders
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.ipc.lock import LockError
from gpuwatch_tray.model import Button, Popup, Severity, Status, known
from gpuwatch_tray.notify.fallback import CallbackPopups, plyer_popups
from gpuwatch_tray.notify.sinks import Popups, PopupSink
from gpuwatch_tray.settings import Changes
from gpuwatch_tray.store import StoreError
from gpuwatch_tray.tray import Tray, requested_backend

if TYPE_CHECKING:
    from gpuwatch_tray.model import Snapshot
    from gpuwatch_tray.notify.desktop_popups import OnButton
    from gpuwatch_tray.store import Store


log = logging.getLogger(__name__)

WELCOME_KEY = "welcome"


class Welcome:
    """Welcomes by a popup at the first good snapshot of a new state; once a run at most."""

    def __init__(
        self, context: RunContext, store: Store, popups: PopupSink, buttons: tuple[Button, ...]
    ) -> None:
        self._context = context
        self._store = store
        self._popups = popups
        self._buttons = buttons
        self._done = context.simulated  # a demo has a state for itself each time, and says enough

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Welcome the person with the first good snapshot; on the poller's thread."""
        if self._done or snapshot.problem is not None or not snapshot.gpus:
            return
        self._done = True
        try:
            if not self._store.was_greeted():
                self._popups.show(self._popup(snapshot), self._answered)
        except StoreError as error:
            log.warning("%s", error)

    def _answered(self, shown: bool) -> None:
        """Greet nobody twice; who has not seen the greeting gets it at the next start."""
        if shown:
            try:
                self._store.record_greeting()
            except StoreError as error:
                log.warning("%s", error)

    def _popup(self, snapshot: Snapshot) -> Popup:
        whole = [gpu for gpu in snapshot.gpus if not gpu.physical]
        title = ngettext(
            "gpuwatch-tray is watching {count} GPU", "gpuwatch-tray is watching {count} GPUs", len(whole)
        ).format(count=len(whole))
        names = ", ".join(dict.fromkeys(known(gpu.name) or gpu.uuid or f"GPU {gpu.index}" for gpu in whole))
        lines = [names, _("Ready. Click the tray icon for the menu.")]
        if Button.SET_UP_MAIL in self._buttons:
            lines.append(_("To get email as well: Set up email…, here or under More in the menu."))
        elif not self._context.settings.to_email:
            lines.append(_("To get email as well, run `gpuwatch-tray setup mail` in a terminal."))
        return Popup(WELCOME_KEY, title, "\n".join(lines), Severity.INFO, self._buttons)


LINGER = 10.0  # seconds: GNOME takes the popup of a program with a menu entry away when it leaves the bus


def notify_exit(error: Exception) -> None:
    """Show that nothing is watched any more, and why; a person at the terminal sees it there."""
    if sys.stderr is not None and sys.stderr.isatty():
        return
    expected = isinstance(error, WorkError | StoreError | LockError | OSError)
    why = redact.text(str(error) if expected else f"{type(error).__name__}: {error}")
    log.error("the tray ends: %s", why, extra={"in_file_only": True})
    advice = _(
        "Start it again. `gpuwatch-tray doctor` shows what is wrong here, `doctor --log` what happened."
    )
    popup = Popup("ended", _("The GPUs are no longer watched"), f"{why}\n{advice}", Severity.CRITICAL)
    if sys.platform in PLATFORMS_WITHOUT_BUS:
        Popups([plyer_popups()]).show(popup)
        return
    from gpuwatch_tray.notify.desktop_popups import DesktopPopups

    try:
        with temporary_session() as bus:
            if Popups([DesktopPopups(bus), plyer_popups()]).show(popup):
                time.sleep(LINGER)
    except BusUnavailableError:
        Popups([plyer_popups()]).show(popup)


M_ARENA_MAX = -8  # of malloc.h
COLLECT_EVERY = 50_000  # objects made and not yet freed


class NoDesktopError(Exception):
    """There is nothing to draw on; the text says what is missing."""


def run(context: RunContext) -> int:
    """Show the tray until Quit or a signal; 0 also when another process watches on this host already."""
    try:
        requested_backend(os.environ)
    except ValueError as error:
        raise UsageError(str(error)) from error
    log_to_file(context)
    relaunch = Relaunch()
    try:
        code = _run_here(context, relaunch)
        relaunch.start_anew()
    except Exception as error:
        notify_exit(error)
        raise
    return code


def _run_here(context: RunContext, relaunch: Relaunch) -> int:
    login_item.repair_login_item(context)
    for problem in context.problems:
        log.warning("%s", problem)
    bus = None
    try:
        bus, why = desktop_bus()
        return _run(context, bus, why, relaunch)
    except NoDesktopError as error:
        text = _("No desktop here ({why}): watching in the terminal.")
        return headless(context, relaunch, text.format(why=error))
    finally:
        if bus is not None:
            bus.close()


def desktop_bus() -> tuple[SessionBus | None, str]:
    """Connect to the session bus, None with the reason; raises NoDesktopError where nothing can be drawn."""
    if sys.platform in PLATFORMS_WITHOUT_BUS:  # pystray draws there by itself
        return None, ""
    from gpuwatch_tray.tray.backends.statusnotifier import WATCHER

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


def _settle_memory() -> None:
    # A menu of 800 processes is rebuilt at each poll from thousands of small objects without cycles: at the
    # default thresholds looking through them takes most of the time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)


def _share_one_heap() -> None:
    """Have threads allocate from one heap from now on: glibc gives each of them one of its own."""
    if sys.platform == "linux":
        import ctypes  # late: the poller needs it too, the icon does not

        with suppress(AttributeError):  # another C library has no such choice
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def _run(context: RunContext, bus: SessionBus | None, why: str, relaunch: Relaunch) -> int:
    try:
        with acquire_store(context, "tray") as lease:
            if bus is not None and (pid := _claimed(context, bus)) is not None:
                print("\n".join(describe_namesake(context, pid)))
                return 0
            ended = _show(context, bus, lease, why, relaunch)
    except AlreadyRunningError as other:
        print("\n".join(second_start_lines(context, other.holder)))
        return 0
    if not ended:
        # A thread that the kernel keeps in a driver call would keep the interpreter waiting as well.
        log.warning("a driver call does not return: leaving without it")
        relaunch.start_anew()
        logging.shutdown()
        os._exit(0)
    return 0


def _claimed(context: RunContext, bus: SessionBus) -> int | None:
    """Return the PID of another tray of this session that watches the same; None where there is none."""
    from gpuwatch_tray.tray.backends import statusnotifier

    scope = "demo" if context.simulated else ""
    if context.source is SourceKind.COMMAND:
        scope = context.state_name
    return statusnotifier.claim_name(bus, statusnotifier.bus_name_for(scope))


def _show(
    context: RunContext, bus: SessionBus | None, lease: StoreLease, why: str, relaunch: Relaunch
) -> bool:
    """Run the tray from its start to Quit; False when a thread is stuck in the driver."""
    store, settings = lease.store, context.settings
    dispatcher = ActionDispatcher(
        context,
        AlertOperations(store, host.now),
        Reminders(store, host.now),
        lambda: tray.stop(),  # noqa: PLW0108  # the tray is made on the next lines
    )
    tray = Tray(bus, dispatcher.actions(), style=settings.icon_style, badge=settings.icon_badge)
    if bus is None and not tray.has_icon:
        raise NoDesktopError(why)
    popups = popup_sink(bus, tray, dispatcher.on_popup_button)
    welcome = Welcome(context, store, popups, dispatcher.welcome_buttons)

    def show_status(status: Status) -> None:
        dispatcher.refresh_extras()
        # The last act: it wakes the main thread, and two that run at once take turns at a price.
        tray.show(replace(status, mail_possible=dispatcher.mails))

    start_detector = partial(presence.start_detector, bus, os.environ)
    with (
        closing(presence.AdjustableDetector(start_detector, settings.away)) as detector,
        report_errors(partial(_show_error, popups)),
    ):
        outputs = Outputs(
            show_status,
            popups,
            create_outbox_process(context, store),
            lambda trouble: lease.describe(trouble=trouble),
            welcome.on_snapshot,
            create_chat_processes(context, store),
        )
        engine = create_engine(context, store, presence=detector.check)
        source, recorder = open_source(context, store), create_recorder(context, store)
        monitor = Monitor(context, source, engine, outputs, recorder=recorder)
        lab = LabWatch("tray", monitor.set_lab, popups, detector.check)
        dispatcher.bind(monitor, engine.alerts_of_popup, popups, tray.show_extras, tray.perform, lab)
        stop_on_signals(tray.stop)

        def reconfigure(new: RunContext) -> None:
            tray.set_icon_style(new.settings.icon_style, badge=new.settings.icon_badge)
            detector.adjust(new.settings.away)
            reconfigure_source(source, new)
            dispatcher.reconfigure(new)
            lab.reconfigure(new)

        reloader = SettingsReloader(context, lease, monitor, Changes(os.environ), reconfigure, popups)
        installation = relaunch.watch(monitor, popups, tray.stop, partial(can_stop, monitor, lease))
        _settle_memory()

        def start() -> None:
            _share_one_heap()
            monitor.start()
            lab.start(context)
            if context.problems:
                popups.show(problem_popup(context, _("The settings have an error")))
            reloader.start()
            installation.start()

        if bus is not None and tray.needs_panel:
            _warn_without_a_panel(bus, popups)
        with answering(context, lease, monitor, tray.stop, lab):
            tray.run(start)
            reloader.stop()
            installation.stop()
            popups.end()  # their buttons would do nothing any more
            if bus is not None:
                bus.close()  # the icon goes first, whatever the driver does
        lab_ended = lab.stop(STOP_WITHIN)
        return monitor.stop(STOP_WITHIN) and lab_ended


def _show_error(popups: PopupSink, what: str) -> None:
    """Show a popup about an error of the program itself."""
    advice = _(
        "The log has the details; gpuwatch-tray keeps running. `gpuwatch-tray doctor "
        "--report FILE` collects what a bug report needs."
    )
    popups.show(Popup("fault", _("An error in gpuwatch-tray"), f"{what}\n{advice}", Severity.WARNING))


def _warn_without_a_panel(bus: SessionBus, popups: PopupSink) -> None:
    """Say once what to install where nobody shows tray icons."""
    from gpuwatch_tray.tray.backends.statusnotifier import MissingHostDetector

    def show_advice(advice: str) -> None:
        popups.show(Popup("no-host", _("There is no tray for the icon"), advice, Severity.WARNING))

    MissingHostDetector(bus, show_advice, os.environ).start()


def popup_sink(bus: SessionBus | None, tray: Tray, on_button: OnButton) -> Popups:
    """Return the popup sinks here, best first: the desktop's own service, the icon's own way, plyer."""
    sinks: list[PopupSink] = []
    if bus is not None:
        from gpuwatch_tray.notify.desktop_popups import DesktopPopups

        sinks.append(DesktopPopups(bus))
    if tray.notify is not None:
        sinks.append(CallbackPopups(tray.notify, "the tray icon"))
    sinks.append(plyer_popups())
    return Popups(sinks, on_button)
