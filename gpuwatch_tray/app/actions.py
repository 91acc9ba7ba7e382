"""The actions of menu rows and popup buttons: their dispatch, ending a process, sign-in, the test alert."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING

from gpuwatch_tray.alerts import until_tomorrow
from gpuwatch_tray.app import login_item, logs
from gpuwatch_tray.app.bootstrap import write_missing_settings
from gpuwatch_tray.app.context import SourceKind, WorkError
from gpuwatch_tray.app.lab_actions import LabActions
from gpuwatch_tray.app.report_page import ReportPageError, ReportPageOpener
from gpuwatch_tray.app.telling import LAB_PREFIX
from gpuwatch_tray.common.host import this_program
from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.desktop import clipboard, launcher
from gpuwatch_tray.desktop.autostart import AutostartError
from gpuwatch_tray.engine.operations import AlertOperations, NoSuchAlertError, ReminderError
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Button, Popup, Severity
from gpuwatch_tray.model.units import HOUR
from gpuwatch_tray.notify.render import origin
from gpuwatch_tray.sources import terminate
from gpuwatch_tray.sources.terminate import PendingTerminations, ProcessTarget, TerminationResult
from gpuwatch_tray.store import StoreError
from gpuwatch_tray.tray import ActionKind, MenuAction, MenuExtras
from gpuwatch_tray.tray.menu import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.app.lab_watch import LabWatch
    from gpuwatch_tray.app.monitor import Monitor
    from gpuwatch_tray.engine.operations import Reminders
    from gpuwatch_tray.notify.sinks import PopupSink


log = logging.getLogger(__name__)

CHECK_AGAIN = 1.0  # seconds between two checks whether a process has ended
KILL_KEY = "kill "  # begins the key of a popup that offers to kill a process


class TerminationTracker:
    """Ends processes, from worker threads; calls `changed`, from any thread, when `offered` changes."""

    def __init__(self, popups: PopupSink, changed: Callable[[], None]) -> None:
        self._popups = popups
        self._changed = changed
        self._pending = PendingTerminations()
        self._lock = threading.Lock()
        self._check_pending = False
        self.offered: frozenset[ProcessTarget] = frozenset()  # those that go on, and may be killed

    def end(self, text: str, *, kill: bool = False) -> str:
        """End the process that a row or a popup named; the reason where that was refused."""
        target = ProcessTarget.parse(text)
        result = terminate.terminate(*target, kill=kill)
        if result.sent:
            self._pending.add(*target, time.monotonic(), kill=kill)
            self._check_later()
        return "" if result.sent or result is TerminationResult.ENDED_ALREADY else _(result.value)

    def _check_later(self) -> None:
        """Check once later, however often it is asked for."""
        with self._lock:
            if self._check_pending:
                return
            self._check_pending = True
        timer = threading.Timer(CHECK_AGAIN, self._check_once)
        timer.daemon = True
        timer.start()

    def _check_once(self) -> None:
        with self._lock:
            self._check_pending = False
        try:
            self._check()
        except Exception:
            log.exception("looking after the processes that were asked to end failed")
        if self._pending.pending() or self.offered:
            self._check_later()

    def _check(self) -> None:
        """Offer to kill what did not end, and withdraw the offer once it has."""
        stubborn = frozenset(self._pending.unresponsive(time.monotonic()))
        for target in stubborn - self.offered:
            text = _("PID {pid} is still running {seconds:g} s after it was asked to end")
            body = text.format(pid=target.pid, seconds=terminate.PATIENCE)
            key, title = f"{KILL_KEY}{target}", _("A process is still running")
            self._popups.show(Popup(key, title, body, Severity.WARNING, (Button.KILL,)))
        for target in self.offered - stubborn:
            self._popups.close(f"{KILL_KEY}{target}")
        if stubborn != self.offered:
            self.offered = stubborn
            self._changed()


SIGN_IN_TIMEOUT = 360.0  # seconds: the child itself gives up a minute earlier


class SignInAction:
    """Runs one sign-in at a time, in a child that outlives the tray; calls `done` once it is written."""

    def __init__(self, context: RunContext, popups: PopupSink, done: Callable[[], None]) -> None:
        self._command: Sequence[str] = [*this_program(), "mail", "login", "--source", context.source.value]
        self._popups = popups
        self._done = done
        self._free = threading.Lock()

    def begin(self) -> None:
        """Start the child, unless one waits for the person already, and say what to do."""
        started = None
        if self._free.acquire(blocking=False):
            try:
                started = self._start()
            except OSError as error:
                self._free.release()
                self._show(_("The sign-in could not be started"), str(error))
                return
        advice = _("Sign in in the browser. If none opens, run `gpuwatch-tray mail login` in a terminal.")
        self._show(_("Waiting for your sign-in to Gmail"), advice, Severity.INFO)
        if started is not None:  # only now: a child that ends at once has the last word
            start_thread("sign-in", self._wait, *started)

    def _start(self) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        import tempfile  # late: it takes 0.1 MB

        # A file, not a pipe: the child may outlive us. Its own session, so that our end leaves it alone.
        output = tempfile.TemporaryFile()  # noqa: SIM115  # closed by the thread that reads it
        try:
            child = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        except OSError:
            output.close()
            raise
        return child, output

    def _wait(self, child: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        try:
            with output:
                try:
                    code = child.wait(SIGN_IN_TIMEOUT)
                except subprocess.TimeoutExpired:
                    child.kill()
                    code = child.wait()
                output.seek(0)
                lines = output.read().decode(errors="replace").split("\n")
        finally:
            self._free.release()
        if code == 0:
            log.info("signed in to Gmail")
            self._show(_("Signed in to Gmail"), _("Queued mails are being sent."), Severity.INFO)
            self._done()
            return
        # What it says on standard error; the address that it prints before is no reason.
        prefix = "gpuwatch-tray: "
        reasons = [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
        why = "\n".join(reasons) or _("it ended with exit code {code}").format(code=code)
        log.warning("not signed in to Gmail: %s", why)
        self._show(_("Not signed in to Gmail"), why)

    def _show(self, title: str, body: str, severity: Severity = Severity.WARNING) -> None:
        self._popups.show(Popup("sign-in", title, body, severity))


LINES = 8  # processes that the details name


class ActionDispatcher:
    """Carries out clicks, on worker threads; `bind` comes after `actions`, before the first click."""

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
        self._lab = LabActions(context)
        self._lock = threading.Lock()
        self._login = None if context.trial else login_item.login_item()
        self._extras_shown: MenuExtras | None = None
        self._has_terminal = launcher.has_terminal()

    def bind(
        self,
        monitor: Monitor,
        alerts_of_popup: Callable[[str], tuple[str, ...]],
        popups: PopupSink,
        show_extras: Callable[[MenuExtras], None],
        perform: Callable[[MenuAction], None],
        lab: LabWatch | None = None,
    ) -> None:
        """Set what the actions work on; `perform` queues a menu action, which may take long."""
        self._monitor = monitor
        self._alerts_of_popup = alerts_of_popup
        self._popups = popups
        self._show_extras = show_extras
        self._perform = perform
        self._lab.bind(lab, self.refresh_extras, self._show_failure)
        self._terminations = TerminationTracker(popups, self.refresh_extras)
        self._sign_in = SignInAction(self._context, popups, monitor.send_mails_now)
        self.refresh_extras()

    def reconfigure(self, context: RunContext) -> None:
        """Go by these settings from now on."""
        self._context = context
        self._lab.reconfigure(context)
        self.refresh_extras()

    @property
    def mails(self) -> bool:
        """Whether a test alert has somebody to mail, or a chat to go to."""
        routing = self._context.policy.routing
        return routing.mails or bool(routing.chats)

    @property
    def welcome_buttons(self) -> tuple[Button, ...]:
        """The buttons of the popup of the first start."""
        offered = (Button.SETTINGS,) if launcher.available() else ()
        return (Button.TEST, *((Button.SET_UP_MAIL,) if self._can_set_up_mail() else offered))

    def _can_set_up_mail(self) -> bool:
        """Return whether nobody is mailed, and a terminal can be opened to change that."""
        context = self._context
        return not context.simulated and not context.settings.to_email and self._has_terminal

    def actions(self) -> dict[ActionKind, Callable[[str], None]]:
        """Return what can be done here, by kind."""
        actions: dict[ActionKind, Callable[[str], None]] = {
            ActionKind.CHECK_NOW: lambda _: self._check_now(),
            ActionKind.TEST_ALERT: lambda _: self._test_alert(),
            ActionKind.ACKNOWLEDGE: lambda name: self._operate(self._operations.acknowledge, name),
            ActionKind.SNOOZE: lambda name: self._operate(self._operations.snooze, HOUR, name),
            ActionKind.SNOOZE_ALL: lambda _: self._snooze_all(HOUR),
            ActionKind.SNOOZE_TOMORROW: lambda _: self._snooze_all(until_tomorrow(time.time())),
            ActionKind.RESUME: lambda _: self._resume(),
            ActionKind.WHEN_FREE: self._when_free,
            ActionKind.WHEN_ENDS: self._when_ends,
            ActionKind.WHEN_CANCEL: lambda number: self._remind(self._reminders.cancel, int(number)),
            ActionKind.QUIT: lambda _: self._stop(),
            **self._lab.actions(),
        }
        if clipboard.available():
            actions |= {ActionKind.COPY_PID: self._copy, ActionKind.COPY_COMMAND: self._copy}
        if launcher.available():
            actions |= {ActionKind.OPEN_SETTINGS: self._open_settings, ActionKind.OPEN_LOG: self._open}
            actions[ActionKind.SHOW_DETAILS] = lambda _: self._show_details()
        if self._has_terminal:
            actions[ActionKind.SET_UP_MAIL] = lambda _: self._set_up_mail()
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
        of_lab = key.startswith(LAB_PREFIX)
        if of_lab and button is not Button.SHOW:
            self._lab.on_button(key, button)
            return
        fingerprints = self._lab.alerts_of_popup(key) if of_lab else self._alerts_of_popup(key)
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
        elif button is Button.SET_UP_MAIL:
            self._perform(MenuAction(ActionKind.SET_UP_MAIL))
        elif button is Button.SIGN_IN:
            self._sign_in.begin()
        elif button is Button.KILL and key.startswith(KILL_KEY):
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
            self._show_failure(_("The action failed"), str(error))
        self._monitor.check_now()

    def _test_alert(self) -> None:
        from gpuwatch_tray.app.trial_alert import show_test_alert  # late: seldom asked for

        show_test_alert(self._context, self._popups)

    def _check_now(self) -> None:
        self._monitor.check_now()
        self._lab.check_now()

    def _snooze_all(self, seconds: float) -> None:
        """Snooze what this computer and the lab tell."""
        self._operate(self._operations.snooze, seconds)
        self._lab.operate_too(lambda of: of.snooze(seconds))

    def _resume(self) -> None:
        self._operate(self._operations.resume)
        self._lab.operate_too(lambda of: of.resume())

    def _when_free(self, count: str) -> None:
        self._remind(self._reminders.add_gpus_free, int(count), self._monitor.status.snapshot)

    def _when_ends(self, target: str) -> None:
        pid, _colon, identity = target.partition(":")
        self._remind(self._reminders.add_process_ends, int(pid), self._monitor.status.snapshot, identity)

    def _remind(self, operation: Callable[..., str], *arguments: object) -> None:
        try:
            operation(*arguments)
        except (ReminderError, StoreError) as error:
            self._show_failure(_("You will not be notified"), str(error))
        self._monitor.check_now()

    def _copy(self, copied: str) -> None:
        try:
            clipboard.copy(copied)
        except clipboard.ClipboardError as error:
            self._show_failure(_("Not copied"), str(error))

    def _set_up_mail(self) -> None:
        try:
            launcher.open_terminal([*this_program(), "setup", "mail"])
        except launcher.OpeningError as error:
            self._show_failure(_("Not opened"), str(error))

    def _open_settings(self, path: str) -> None:
        """Open the file, which is written first where there is none."""
        try:
            if not self._context.settings.config.is_file():
                path = str(next(iter(write_missing_settings()), path))
        except WorkError as error:
            self._show_failure(_("Not opened"), str(error))
            return
        self._open(path)

    def _open(self, path: str) -> None:
        try:
            launcher.open_file(path)
        except launcher.OpeningError as error:
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
            self._show_failure(_("Start at login was not changed"), str(error))
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
            self._terminations.offered,
            str(settings.config),
            about,
            log_file,
            self._starts_at_login(),
            self._can_set_up_mail(),
            self._lab.extras(),
        )

    def _details_popup(self, fingerprints: tuple[str, ...]) -> Popup:
        """Make the popup with the text of these alerts (or of all), and the processes on the GPUs."""
        status = self._monitor.status
        every = (*status.alerts, *(() if status.lab is None else status.lab.alerts))
        alerts = [alert for alert in every if not fingerprints or alert.fingerprint in fingerprints]
        lines = [labels.clip(alert.message, 200) for alert in alerts] or [status.headline]
        processes = status.snapshot.processes if status.snapshot is not None else ()
        lines += [labels.process_label(process) for process in processes[:LINES]]
        if len(processes) > LINES:
            lines.append(_("… {count} more: see the menu").format(count=len(processes) - LINES))
        lines.append(origin(self._context.host, simulated=self._context.simulated))
        return Popup("details", _("Alerts and GPU processes"), "\n".join(lines), Severity.INFO)

    def _show_failure(self, title: str, why: str) -> None:
        self._popups.show(Popup("complaint", title, why, Severity.WARNING))
