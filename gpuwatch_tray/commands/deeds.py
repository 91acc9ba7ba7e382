"""What the rows of the menu and the buttons of the popups do."""

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
from gpuwatch_tray.commands.endings import KILL, TerminationTracker
from gpuwatch_tray.commands.signing import SignInAction
from gpuwatch_tray.commands.testing import test_alert
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
    The person's clicks, carried out; called from worker threads.

    `tell` is given what the menu shall show beside the status. The parts that need the deeds to be made are
    handed over by `join`.
    """

    def __init__(
        self, setup: RunContext, person: AlertOperations, waiting: Reminders, stop: Callable[[], None]
    ) -> None:
        self._setup = setup
        self._person = person
        self._waiting = waiting
        self._stop = stop
        self._pages = ReportPageOpener.for_context(setup)
        self._lock = threading.Lock()
        self._login = None if setup.trial else autostart.login_item()
        self._shown: MenuExtras | None = None

    def join(
        self,
        watching: Monitor,
        popups: PopupSink,
        tell: Callable[[MenuExtras], None],
        perform: Callable[[MenuAction], None],
    ) -> None:
        """Hand over what shows things, and `perform`, for what may take long; before the first click."""
        self._perform = perform
        self._watching = watching
        self._popups = popups
        self._tell = tell
        self._endings = TerminationTracker(popups, self.look_around)
        self._signing_in = SignInAction(self._setup, popups, watching.look_at_mails)
        self.look_around()

    def adopt(self, setup: RunContext) -> None:
        """Go by these settings from now on."""
        self._setup = setup
        self.look_around()

    @property
    def mails(self) -> bool:
        """Whether a test alert has somebody to mail."""
        return self._setup.policy.routing.mails

    @property
    def welcome(self) -> tuple[Button, ...]:
        """What the popup of the first start offers."""
        return (Button.TEST, *((Button.SETTINGS,) if opening.available() else ()))

    def actions(self) -> dict[ActionKind, Callable[[str], None]]:
        """What can be done here, by act."""
        able: dict[ActionKind, Callable[[str], None]] = {
            ActionKind.CHECK_NOW: lambda _: self._watching.check_now(),
            ActionKind.TEST_ALERT: lambda _: test_alert(self._setup, self._popups),
            ActionKind.ACKNOWLEDGE: lambda name: self._say(self._person.acknowledge, name),
            ActionKind.SNOOZE: lambda name: self._say(self._person.snooze, HOUR, name),
            ActionKind.SNOOZE_ALL: lambda _: self._say(self._person.snooze, HOUR),
            ActionKind.SNOOZE_TOMORROW: lambda _: self._say(self._person.snooze, until_tomorrow(time.time())),
            ActionKind.RESUME: lambda _: self._say(self._person.resume),
            ActionKind.WHEN_FREE: self._when_free,
            ActionKind.WHEN_ENDS: self._when_ends,
            ActionKind.WHEN_CANCEL: lambda number: self._await(self._waiting.cancel, int(number)),
            ActionKind.QUIT: lambda _: self._stop(),
        }
        if clipboard.available():
            able |= {ActionKind.COPY_PID: self._copy, ActionKind.COPY_COMMAND: self._copy}
        if opening.available():
            able |= {ActionKind.OPEN_SETTINGS: self._open_settings, ActionKind.OPEN_LOG: self._open}
            able[ActionKind.SHOW_DETAILS] = lambda _: self._show()
        if self._login is not None:
            able[ActionKind.AUTOSTART] = self._start_at_login
        if self._setup.source is SourceKind.NVML:  # the processes of another machine are not ours to end
            able |= {ActionKind.END: self._end, ActionKind.KILL: lambda target: self._end(target, kill=True)}
        return able

    def clicked(self, key: str, button: Button) -> None:
        """A button of the popup with this key."""
        members = self._watching.members(key)
        if button is Button.SHOW:
            self._show(members)
        elif button is Button.ACKNOWLEDGE and members:
            self._say(self._person.acknowledge, *members)
        elif button is Button.SNOOZE and members:  # without a name it would be everything
            self._say(self._person.snooze, HOUR, *members)
        elif button is Button.TEST:
            self._perform(MenuAction(ActionKind.TEST_ALERT))
        elif button is Button.SETTINGS:
            self._perform(MenuAction(ActionKind.OPEN_SETTINGS, str(self._setup.settings.config)))
        elif button is Button.SIGN_IN:
            self._signing_in.begin()
        elif key.startswith(KILL):
            self._end(key.removeprefix(KILL), kill=True)

    def _show(self, members: tuple[str, ...] = ()) -> None:
        """The page in the browser; where that cannot be, the alerts that were asked about in a popup."""
        try:
            self._pages.open_page()
        except ReportPageError as error:
            log.warning("the details page was not shown: %s", error)
            self._popups.show(self._details(members))

    def _say(self, act: Callable[..., str], *words: float | str) -> None:
        try:
            act(*words)
        except NoSuchAlertError as error:
            log.info("%s", error)  # it has ended meanwhile, and nothing need be said about it
        except StoreError as error:
            self._complain(_("Not done"), str(error))
        self._watching.check_now()

    def _when_free(self, count: str) -> None:
        self._await(self._waiting.add_gpus_free, int(count), self._watching.shown.snapshot)

    def _when_ends(self, words: str) -> None:
        pid, _colon, identity = words.partition(":")
        self._await(self._waiting.add_process_ends, int(pid), self._watching.shown.snapshot, identity)

    def _await(self, act: Callable[..., str], *words: object) -> None:
        try:
            act(*words)
        except (ReminderError, StoreError) as error:
            self._complain(_("You will not be told"), str(error))
        self._watching.check_now()

    def _copy(self, words: str) -> None:
        try:
            clipboard.copy(words)
        except clipboard.ClipboardError as error:
            self._complain(_("Not copied"), str(error))

    def _open_settings(self, path: str) -> None:
        """Open the file, which is written first where there is none."""
        try:
            if not self._setup.settings.config.is_file():
                path = str(next(iter(config.write_missing()), path))
        except WorkError as error:
            self._complain(_("Not opened"), str(error))
            return
        self._open(path)

    def _open(self, path: str) -> None:
        try:
            opening.open_file(path)
        except opening.OpeningError as error:
            self._complain(_("Not opened"), str(error))

    def look_around(self) -> None:
        """Have the menu show what has changed beside the status, also elsewhere, as by `setup autostart`."""
        extras = self._extras()
        with self._lock:
            if extras == self._shown:
                return
            self._shown = extras
            self._tell(extras)

    def _start_at_login(self, switch: str) -> None:
        if self._login is None:
            return
        try:
            self._login.switch(on=switch == "on")
        except AutostartError as error:
            self._complain(_("The start at login was not changed"), str(error))
        self.look_around()

    def _starts_at_login(self) -> bool:
        try:
            return self._login is not None and self._login.on()
        except AutostartError as error:
            log.debug("start at login: %s", error)  # who clicks on the row is told
            return False

    def _end(self, words: str, *, kill: bool = False) -> None:
        refused = self._endings.end(words, kill=kill)
        if refused:
            title = _("PID {pid} was not ended").format(pid=words.partition(":")[0])
            self._complain(title, refused)
        self._watching.check_now()

    def _extras(self) -> MenuExtras:
        settings = self._setup.settings
        about = (
            _("Settings: {file}").format(file=settings.config),
            _("State folder: {folder}").format(folder=settings.state),
        )
        log_file = "" if self._setup.simulated else str(logs.log_path(self._setup))
        return MenuExtras(
            self._endings.offered, str(settings.config), about, log_file, self._starts_at_login()
        )

    def _details(self, members: tuple[str, ...]) -> Popup:
        """The alerts that were asked about in full, and the processes on the GPUs."""
        status = self._watching.shown
        told = [alert for alert in status.alerts if not members or alert.fingerprint in members]
        lines = [text.clip(alert.said, 200) for alert in told] or [status.headline]
        processes = status.snapshot.processes if status.snapshot is not None else ()
        lines += [text.process_label(process) for process in processes[:LINES]]
        if len(processes) > LINES:
            lines.append(_("… {count} more: see the menu").format(count=len(processes) - LINES))
        title = labelled(
            _("Details on {host}").format(host=self._setup.host), simulated=self._setup.simulated
        )
        return Popup("details", title, "\n".join(lines), Severity.INFO)

    def _complain(self, title: str, why: str) -> None:
        self._popups.show(Popup("complaint", title, why, Severity.WARNING))
