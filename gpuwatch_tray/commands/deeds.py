"""The actions of menu rows and popup buttons: their dispatch, ending a process, sign-in, the test alert."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from gpuwatch_tray import clipboard, opening
from gpuwatch_tray.alerts import until_tomorrow
from gpuwatch_tray.attending import NoSuchAlertError
from gpuwatch_tray.autostart import AutostartError
from gpuwatch_tray.awaiting import ReminderError
from gpuwatch_tray.commands import autostart, config, logs
from gpuwatch_tray.commands.details import ReportPageError, ReportPageOpener
from gpuwatch_tray.commands.endings import KILL_KEY, TerminationTracker
from gpuwatch_tray.commands.signing import SignInAction
from gpuwatch_tray.commands.testing import show_test_alert
from gpuwatch_tray.context import SourceKind, WorkError
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Button, Popup, Severity, labelled
from gpuwatch_tray.store import StoreError
from gpuwatch_tray.tray import ActionKind, MenuAction, MenuExtras, text
from gpuwatch_tray.units import HOUR

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.attending import AlertOperations
    from gpuwatch_tray.awaiting import Reminders
    from gpuwatch_tray.context import RunContext
    from gpuwatch_tray.notifiers import PopupSink
    from gpuwatch_tray.watching import Monitor

log = logging.getLogger(__name__)

LINES = 8  # processes that the details name


class ActionDispatcher:
    """
    Carries out the person's clicks; called from worker threads.

    A click on a popup's button takes three hops: the popup service's `ClickQueue` -> `on_popup_button` -> the
    operation, such as `AlertOperations.acknowledge`. The menu is built from `actions`, so what those need is
    given by `bind`, before the first click.
    """

    def __init__(
        self,
        context: RunContext,
        operations: AlertOperations,
        reminders: Reminders,
        stop: Callable[[], None],
    ) -> None:
        self._context = context
        self._operations = operations
        self._reminders = reminders
        self._stop = stop
        self._report_page = ReportPageOpener.for_context(context)
        self._lock = threading.Lock()
        self._login = None if context.trial else autostart.login_item()
        self._extras_shown: MenuExtras | None = None

    def bind(
        self,
        monitor: Monitor,
        alerts_of_popup: Callable[[str], tuple[str, ...]],
        popups: PopupSink,
        show_extras: Callable[[MenuExtras], None],
        perform: Callable[[MenuAction], None],
    ) -> None:
        """Set what the actions work on; `perform` queues a menu action, which may take long."""
        self._monitor = monitor
        self._alerts_of_popup = alerts_of_popup
        self._popups = popups
        self._show_extras = show_extras
        self._perform = perform
        self._terminations = TerminationTracker(popups, self.refresh_extras)
        self._sign_in = SignInAction(self._context, popups, monitor.send_mails_now)
        self.refresh_extras()

    def reconfigure(self, context: RunContext) -> None:
        """Go by these settings from now on."""
        self._context = context
        self.refresh_extras()

    @property
    def mails(self) -> bool:
        """Whether a test alert has somebody to mail."""
        return self._context.policy.routing.mails

    @property
    def welcome_buttons(self) -> tuple[Button, ...]:
        """The buttons of the popup of the first start."""
        return (Button.TEST, *((Button.SETTINGS,) if opening.available() else ()))

    def actions(self) -> dict[ActionKind, Callable[[str], None]]:
        """Return what can be done here, by kind."""
        actions: dict[ActionKind, Callable[[str], None]] = {
            ActionKind.CHECK_NOW: lambda _: self._monitor.check_now(),
            ActionKind.TEST_ALERT: lambda _: show_test_alert(self._context, self._popups),
            ActionKind.ACKNOWLEDGE: lambda fingerprint: self._operate(
                self._operations.acknowledge, fingerprint
            ),
            ActionKind.SNOOZE: lambda fingerprint: self._operate(self._operations.snooze, HOUR, fingerprint),
            ActionKind.SNOOZE_ALL: lambda _: self._operate(self._operations.snooze, HOUR),
            ActionKind.SNOOZE_TOMORROW: lambda _: self._operate(
                self._operations.snooze, until_tomorrow(time.time())
            ),
            ActionKind.RESUME: lambda _: self._operate(self._operations.resume),
            ActionKind.WHEN_FREE: self._when_free,
            ActionKind.WHEN_ENDS: self._when_ends,
            ActionKind.WHEN_CANCEL: lambda number: self._remind(self._reminders.cancel, int(number)),
            ActionKind.QUIT: lambda _: self._stop(),
        }
        if clipboard.available():
            actions |= {ActionKind.COPY_PID: self._copy, ActionKind.COPY_COMMAND: self._copy}
        if opening.available():
            actions |= {ActionKind.OPEN_SETTINGS: self._open_settings, ActionKind.OPEN_LOG: self._open}
            actions[ActionKind.SHOW_DETAILS] = lambda _: self._show_details()
        if self._login is not None:
            actions[ActionKind.AUTOSTART] = self._start_at_login
        if self._context.source is SourceKind.NVML:  # the processes of another machine are not ours to end
            actions |= {
                ActionKind.END: self._end,
                ActionKind.KILL: lambda target: self._end(target, kill=True),
            }
        return actions

    def on_popup_button(self, key: str, button: Button) -> None:
        """Do what a `button` of the popup with this key asks for."""
        fingerprints = self._alerts_of_popup(key)
        if button is Button.SHOW:
            self._show_details(fingerprints)
        elif button is Button.ACKNOWLEDGE and fingerprints:
            self._operate(self._operations.acknowledge, *fingerprints)
        elif button is Button.SNOOZE and fingerprints:  # without one it would be everything
            self._operate(self._operations.snooze, HOUR, *fingerprints)
        elif button is Button.TEST:
            self._perform(MenuAction(ActionKind.TEST_ALERT))
        elif button is Button.SETTINGS:
            self._perform(MenuAction(ActionKind.OPEN_SETTINGS, str(self._context.settings.config)))
        elif button is Button.SIGN_IN:
            self._sign_in.begin()
        elif key.startswith(KILL_KEY):
            self._end(key.removeprefix(KILL_KEY), kill=True)

    def _show_details(self, fingerprints: tuple[str, ...] = ()) -> None:
        """Open the page in the browser; where that cannot be, show these alerts in a popup."""
        try:
            self._report_page.open_page()
        except ReportPageError as error:
            log.warning("the details page was not shown: %s", error)
            self._popups.show(self._details_popup(fingerprints))

    def _operate(self, operation: Callable[..., str], *arguments: float | str) -> None:
        try:
            operation(*arguments)
        except NoSuchAlertError as error:
            log.info("%s", error)  # it has ended meanwhile, and nothing need be said about it
        except StoreError as error:
            self._show_failure(_("Not done"), str(error))
        self._monitor.check_now()

    def _when_free(self, count: str) -> None:
        self._remind(self._reminders.add_gpus_free, int(count), self._monitor.status.snapshot)

    def _when_ends(self, target: str) -> None:
        pid, _colon, identity = target.partition(":")
        self._remind(self._reminders.add_process_ends, int(pid), self._monitor.status.snapshot, identity)

    def _remind(self, operation: Callable[..., str], *arguments: object) -> None:
        try:
            operation(*arguments)
        except (ReminderError, StoreError) as error:
            self._show_failure(_("You will not be told"), str(error))
        self._monitor.check_now()

    def _copy(self, copied: str) -> None:
        try:
            clipboard.copy(copied)
        except clipboard.ClipboardError as error:
            self._show_failure(_("Not copied"), str(error))

    def _open_settings(self, path: str) -> None:
        """Open the file, which is written first where there is none."""
        try:
            if not self._context.settings.config.is_file():
                path = str(next(iter(config.write_missing()), path))
        except WorkError as error:
            self._show_failure(_("Not opened"), str(error))
            return
        self._open(path)

    def _open(self, path: str) -> None:
        try:
            opening.open_file(path)
        except opening.OpeningError as error:
            self._show_failure(_("Not opened"), str(error))

    def refresh_extras(self) -> None:
        """Have the menu show what has changed beside the status, also elsewhere, as by `setup autostart`."""
        extras = self._extras()
        with self._lock:
            if extras == self._extras_shown:
                return
            self._extras_shown = extras
            self._show_extras(extras)

    def _start_at_login(self, switch: str) -> None:
        if self._login is None:
            return
        try:
            self._login.switch(on=switch == "on")
        except AutostartError as error:
            self._show_failure(_("The start at login was not changed"), str(error))
        self.refresh_extras()

    def _starts_at_login(self) -> bool:
        try:
            return self._login is not None and self._login.on()
        except AutostartError as error:
            log.debug("start at login: %s", error)  # who clicks on the row is told
            return False

    def _end(self, target: str, *, kill: bool = False) -> None:
        refused = self._terminations.end(target, kill=kill)
        if refused:
            title = _("PID {pid} was not ended").format(pid=target.partition(":")[0])
            self._show_failure(title, refused)
        self._monitor.check_now()

    def _extras(self) -> MenuExtras:
        settings = self._context.settings
        about = (
            _("Settings: {file}").format(file=settings.config),
            _("State folder: {folder}").format(folder=settings.state),
        )
        log_file = "" if self._context.simulated else str(logs.log_path(self._context))
        return MenuExtras(
            self._terminations.offered, str(settings.config), about, log_file, self._starts_at_login()
        )

    def _details_popup(self, fingerprints: tuple[str, ...]) -> Popup:
        """Make the popup with the text of these alerts (or of all), and the processes on the GPUs."""
        status = self._monitor.status
        alerts = [alert for alert in status.alerts if not fingerprints or alert.fingerprint in fingerprints]
        lines = [text.clip(alert.message, 200) for alert in alerts] or [status.headline]
        processes = status.snapshot.processes if status.snapshot is not None else ()
        lines += [text.process_label(process) for process in processes[:LINES]]
        if len(processes) > LINES:
            lines.append(_("… {count} more: see the menu").format(count=len(processes) - LINES))
        title = labelled(
            _("Details on {host}").format(host=self._context.host), simulated=self._context.simulated
        )
        return Popup("details", title, "\n".join(lines), Severity.INFO)

    def _show_failure(self, title: str, why: str) -> None:
        self._popups.show(Popup("complaint", title, why, Severity.WARNING))
