"""What clicks on rows about the lab do: its alerts, silences for everyone, reminders, one host in detail."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from gpuwatch_tray.app.context import lab_context
from gpuwatch_tray.common import host
from gpuwatch_tray.desktop import clipboard, launcher
from gpuwatch_tray.engine.operations import AlertOperations, NoSuchAlertError, ReminderError
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Button
from gpuwatch_tray.model.units import HOUR
from gpuwatch_tray.store import StoreError
from gpuwatch_tray.tray import ActionKind, HostDetail, LabExtras

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.app.lab_monitor import LabMonitor
    from gpuwatch_tray.app.lab_watch import LabWatch
    from gpuwatch_tray.engine.lab_reminders import LabReminders
    from gpuwatch_tray.lab.prometheus import PrometheusLab
    from gpuwatch_tray.store import Store


log = logging.getLogger(__name__)

SNOOZE = 2 * HOUR  # seconds, of one alert of the lab, for oneself or for everyone
DETAIL_KEPT = 15.0  # seconds for which an answer counts as the present, and no other is asked for
DETAIL_SHOWN = (
    120.0  # seconds for which it stands in the menu, with its time, when its list is not opened again
)
MOST_DETAILS = 20


class LabActions:
    """
    The actions of rows about the lab, on worker threads; `bind` comes before the first click.

    Each alert and reminder of the lab is in a state of its own, that of `watch`.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._watch: LabWatch | None = None
        self._details: dict[str, HostDetail] = {}
        self._lock = threading.Lock()

    def bind(
        self, watch: LabWatch | None, changed: Callable[[], None], failed: Callable[[str, str], None]
    ) -> None:
        """Set the lab; `changed` shows other extras, `failed` a popup with a title and a reason."""
        self._watch = watch
        self._changed = changed
        self._failed = failed

    def reconfigure(self, context: RunContext) -> None:
        """Go by these settings from now on; what the hosts of others have told is forgotten."""
        if context.settings.lab != self._context.settings.lab:
            with self._lock:
                self._details.clear()
        self._context = context

    def actions(self) -> dict[ActionKind, Callable[[str], None]]:
        """Return what can be done here, by kind."""
        actions: dict[ActionKind, Callable[[str], None]] = {
            ActionKind.ASK_HOST: self._ask,
            ActionKind.LAB_ACKNOWLEDGE: lambda name: self.operate(lambda of: of.acknowledge(name)),
            ActionKind.LAB_SNOOZE: lambda name: self.operate(lambda of: of.snooze(SNOOZE, name)),
            ActionKind.LAB_SILENCE: self._silence,
            ActionKind.LAB_EXPIRE: self._expire,
            ActionKind.LAB_WHEN_FREE: self._when_free,
            ActionKind.LAB_WHEN_CANCEL: lambda number: self._remind(lambda of: of.cancel(int(number))),
        }
        if clipboard.available():
            actions[ActionKind.COPY_SSH] = self._copy
        if launcher.available():
            actions[ActionKind.OPEN_LINK] = self._open
        return actions

    def extras(self) -> LabExtras:
        """Return what the menu shows of the lab beside its status."""
        if lab_context(self._context) is None:
            return LabExtras()
        now = time.time()
        with self._lock:
            for name, detail in list(self._details.items()):
                if not 0 <= now - detail.at < DETAIL_SHOWN:
                    del self._details[name]
            details = dict(self._details)
        settings = self._context.settings.lab
        may_silence = settings.silence and bool(settings.alertmanager)
        return LabExtras(details, settings.links, may_silence, settings.looks_free)

    def operate_too(self, operation: Callable[[AlertOperations], object]) -> None:
        """Do it on the alerts of the lab as well, where one is watched here."""
        if self._store is not None:
            self.operate(operation)

    def operate(self, operation: Callable[[AlertOperations], object]) -> None:
        """Do it on the alerts of the lab, and look at them again."""
        store = self._store_now()
        if store is None:
            return
        try:
            operation(AlertOperations(store, host.now))
        except NoSuchAlertError as error:
            log.info("%s", error)  # it has ended meanwhile
        except StoreError as error:
            self._failed(_("The action failed"), str(error))
        self.check_now()

    def alerts_of_popup(self, key: str) -> tuple[str, ...]:
        """Return the fingerprints of the alerts that the popup with this key tells of."""
        monitor = self._monitor
        return () if monitor is None else monitor.alerts_of_popup(key)

    def on_button(self, key: str, button: Button) -> None:
        """Acknowledge or snooze what the popup with this key tells of; say so where that is nothing now."""
        fingerprints = self.alerts_of_popup(key)
        if not fingerprints:  # without one it would be everything
            if self._store_now() is not None:
                self._failed(_too_late(), _("This popup is out of date: the menu shows what there is now"))
        elif button is Button.ACKNOWLEDGE:
            self.operate(lambda of: of.acknowledge(*fingerprints))
        elif button is Button.SNOOZE:
            self.operate(lambda of: of.snooze(HOUR, *fingerprints))

    def check_now(self) -> None:
        """Read the lab now."""
        if self._watch is not None:
            self._watch.check_now()

    @property
    def _monitor(self) -> LabMonitor | None:
        return None if self._watch is None else self._watch.monitor

    @property
    def _store(self) -> Store | None:
        return None if self._watch is None or self._watch.lease is None else self._watch.lease.store

    def _store_now(self) -> Store | None:
        """Return the store for a click; where there is none any more, say so."""
        store = self._store
        if store is None:
            self._failed(_too_late(), _("This lab is no longer watched here: lab.env has changed"))
        return store

    def _ask(self, name: str) -> None:
        monitor = self._monitor
        now = time.time()
        with self._lock:
            before = self._details.get(name)
            fresh = before is not None and before.snapshot is not None and 0 <= now - before.at < DETAIL_KEPT
            if monitor is None or fresh:
                return
            if before is None:
                self._details[name] = HostDetail(now)
        self._changed()
        snapshot = monitor.detail(name)
        with self._lock:
            self._details.pop(name, None)
            while len(self._details) >= MOST_DETAILS:
                self._details.pop(next(iter(self._details)))
            self._details[name] = HostDetail(time.time(), snapshot)
        self._changed()

    def _silence(self, fingerprint: str) -> None:
        from gpuwatch_tray.app.lab_operations import COMMENT  # late: most have no lab

        author = f"{self._context.user}@{self._context.host}"
        self._on_alertmanager(lambda of: of.silence(fingerprint, SNOOZE, author=author, comment=COMMENT))

    def _expire(self, number: str) -> None:
        self._on_alertmanager(lambda of: of.expire(number))

    def _on_alertmanager(self, operation: Callable[[PrometheusLab], object]) -> None:
        # Late imports: who asks by ssh needs no HTTP library.
        from gpuwatch_tray.lab.lab_error import LabError
        from gpuwatch_tray.lab.prometheus import PrometheusLab

        monitor = self._monitor
        if self._store_now() is None or monitor is None or not isinstance(monitor.source, PrometheusLab):
            return
        try:
            operation(monitor.source)
        except LabError as error:
            self._failed(_("The silence for everyone was not changed"), str(error.problem))
        self.check_now()

    def _when_free(self, wanted: str) -> None:
        from gpuwatch_tray.alerts.lab_reminders import EVERY_HOST

        count, spread = int(wanted.removesuffix("+")), wanted.endswith("+")
        looks = self._context.settings.lab.looks_free
        monitor = self._monitor
        view = None if monitor is None else monitor.status.view
        self._remind(lambda of: of.add_free(count, EVERY_HOST, view, spread=spread, looks=looks))

    def _remind(self, operation: Callable[[LabReminders], object]) -> None:
        from gpuwatch_tray.engine.lab_reminders import LabReminders

        store = self._store_now()
        if store is None:
            return
        try:
            operation(LabReminders(store, host.now))
        except (ReminderError, StoreError) as error:
            self._failed(_("You will not be notified"), str(error))
        self.check_now()

    def _copy(self, command: str) -> None:
        try:
            clipboard.copy(command)
        except clipboard.ClipboardError as error:
            self._failed(_("Not copied"), str(error))

    def _open(self, address: str) -> None:
        """Open a page of the lab; none but those of the settings, whatever an answer names."""
        if address not in {known for _title, known in self._context.settings.lab.links}:
            return
        try:
            launcher.open_address(address)
        except launcher.OpeningError as error:
            self._failed(_("Not opened"), str(error))


def _too_late() -> str:
    return _("Nothing was done")
