"""What an evaluation has for the person: its popups, and what came of them, told back to the engine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Popup, Severity
from gpuwatch_tray.notify.outbox_process import MailHealth
from gpuwatch_tray.store import EMAIL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.engine import Engine, EvaluationResult
    from gpuwatch_tray.notify.sinks import PopupSink
    from gpuwatch_tray.store import OutboxSummary


STATE_KEY = "state"  # of the popup
LAB_PREFIX = "lab:"  # begins the keys of the lab's popups


class ResultTeller:
    """
    Shows the popups of one engine's evaluations; without `popups` there is nobody to show them to.

    `prefix` begins the keys of all of them: two engines number their alerts and reminders alike.
    """

    def __init__(
        self,
        engine: Engine[Any, Any],
        popups: PopupSink | None,
        monotonic: Callable[[], float] = time.monotonic,
        prefix: str = "",
    ) -> None:
        self._engine = engine
        self._popups = popups
        self._monotonic = monotonic
        self._prefix = prefix
        self._health: dict[str, MailHealth] = {}  # by channel
        self._displacement_told = False

    def tell(self, result: EvaluationResult) -> None:
        """Show and close what the evaluation wants shown and closed."""
        if self._popups is None:
            return
        self._tell_displacement(result.displaced)
        for popup, fingerprints in result.popups:
            self._show_alerts(popup, fingerprints)
        for popup, numbers in result.reminder_popups:
            self._show_reminders(popup, numbers)
        for key in result.closed_popups:
            self._close(key)

    def withdraw(self) -> None:
        """Take all of them off the screen, and show no more: nobody would answer their buttons."""
        popups, self._popups = self._popups, None
        if popups is not None:
            popups.close_all(self._prefix)

    def tell_mail_health(self, waiting: OutboxSummary, *, changed: bool, channel: str = EMAIL) -> None:
        """Show what keeps mails or a chat's messages back, where that has `changed` or is due again."""
        health = self._health.setdefault(channel, MailHealth(Channel(channel).chat))
        if self._popups is None or not (changed or health.is_due(self._monotonic())):
            return
        for key in health.closed_keys(waiting):
            self._close(key)
        for popup in health.popups(waiting, self._monotonic()):

            def answered(shown: bool, key: str = popup.key) -> None:
                health.record_popup(key, self._monotonic(), shown=shown)

            if not self._show(popup, answered):
                answered(shown=False)

    def _show(self, popup: Popup, answered: Callable[[bool], None]) -> bool:
        popups = self._popups
        shown = replace(popup, key=f"{self._prefix}{popup.key}")
        return popups is not None and popups.show(shown, answered)

    def _close(self, key: str) -> None:
        popups = self._popups
        if popups is not None:
            popups.close(f"{self._prefix}{key}")

    def _show_alerts(self, popup: Popup, fingerprints: Sequence[str]) -> None:
        """Show a popup about alerts; one without an answer counts as shown, or each poll would repeat it."""

        def answered(shown: bool) -> None:
            if not shown:
                self._engine.record_popup(self._engine.alerts_of_popup(popup.key), shown=False)

        shown = self._show(popup, answered)
        if fingerprints:
            self._engine.record_popup(fingerprints, shown=shown)

    def _show_reminders(self, popup: Popup, numbers: Sequence[int]) -> None:
        """Show the popup of reminders: they stay on file until it is known that it was shown."""

        def answered(shown: bool) -> None:
            if numbers:
                self._engine.record_reminder_popup(numbers, shown=shown)

        if not self._show(popup, answered):
            answered(shown=False)

    def _tell_displacement(self, why: str | None) -> None:
        """Show once that the state's file cannot be written; take the popup away when it can."""
        if why is None:
            if self._displacement_told:
                self._close(STATE_KEY)
            self._displacement_told = False
        elif not self._displacement_told:

            def answered(shown: bool) -> None:
                self._displacement_told = shown

            popup = Popup(STATE_KEY, _("The state cannot be written"), why, Severity.WARNING)
            self._displacement_told = self._show(popup, answered)
