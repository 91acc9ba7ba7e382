"""Reloading of the settings while the program runs: they are taken over as a whole, or refused."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray import i18n
from gpuwatch_tray.app import bootstrap
from gpuwatch_tray.app.channel_changes import make_changed_channels_due
from gpuwatch_tray.app.context import with_settings
from gpuwatch_tray.common.threads import PeriodicThread
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Popup, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.app.bootstrap import StoreLease
    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.app.monitor import Monitor
    from gpuwatch_tray.notify.sinks import PopupSink
    from gpuwatch_tray.settings import Changes, ConfigProblem, Settings


log = logging.getLogger(__name__)

CHECK_INTERVAL, CHECK_AGAIN = 3.0, 1.0  # seconds to the next check of the files; after one that saw a change
STOP_TIMEOUT = 0.2  # seconds that the last check may take at the end
PROBLEM_KEY = "settings"


class SettingsReloader:
    """Watches the files on a thread of its own: a home folder that hangs must not stop the monitor."""

    def __init__(
        self,
        context: RunContext,
        lease: StoreLease,
        monitor: Monitor,
        changes: Changes,
        reconfigure: Callable[[RunContext], None] = lambda _context: None,
        popups: PopupSink | None = None,
    ) -> None:
        self._context = context
        self._lease = lease
        self._monitor = monitor
        self._changes = changes
        self._reconfigure = reconfigure
        self._popups = popups
        self._thread = PeriodicThread(self.check, CHECK_INTERVAL, "settings", delay=CHECK_AGAIN)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._thread.stop(STOP_TIMEOUT)

    def check(self) -> float | None:
        """Take over the settings if a file has changed; on the thread. Return the seconds to the next."""
        loaded = self._changes.check()
        if loaded is not None:
            self._take_over(loaded)
        return CHECK_AGAIN if self._changes.pending else None

    def _take_over(self, loaded: tuple[Settings, tuple[ConfigProblem, ...]]) -> None:
        new = with_settings(self._context, loaded)
        if new.problems:
            self._refuse(new)
        elif (new.settings, ()) != (self._context.settings, self._context.problems):
            self._apply(new)

    def _refuse(self, new: RunContext) -> None:
        if new.problems == self._context.problems:
            return  # as at the start
        self._context = replace(self._context, problems=new.problems)
        for problem in new.problems:
            log.warning("the settings stay as they were: %s", problem)
        self._monitor.set_problems(new.problems)
        if self._popups is not None:
            self._popups.show(problem_popup(new, _("The old settings stay in use")))

    def _apply(self, new: RunContext) -> None:
        if new.settings.language != i18n.current_language():
            note = _("UI_LANGUAGE: the new language is used from the next start on")
            new = replace(new, settings=replace(new.settings, warnings=(*new.settings.warnings, note)))
        before, self._context = self._context, new
        log.info("the settings have changed and are taken over")
        make_changed_channels_due(self._lease.store, before.settings, new.settings)
        self._lease.describe(mails=new.policy.routing.tells_somebody)
        self._monitor.reconfigure(
            new,
            bootstrap.create_policy(new, popups=self._popups is not None),
            bootstrap.create_outbox_process(new, self._lease.store),
            bootstrap.create_chat_processes(new, self._lease.store),
        )
        self._reconfigure(new)
        if before.problems and self._popups is not None:
            self._popups.close(PROBLEM_KEY)


def problem_popup(context: RunContext, title: str) -> Popup:
    """Make the popup about the settings: the first problem with file and line, the others counted."""
    first, *others = map(str, context.problems)
    body = first + ("\n" + _("and {count} more: see the menu").format(count=len(others)) if others else "")
    return Popup(PROBLEM_KEY, title, body, Severity.WARNING)
