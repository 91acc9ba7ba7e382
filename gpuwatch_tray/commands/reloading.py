"""The settings, read again while the program runs: taken over as a whole, or refused as a whole."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray import app, language
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Popup, Severity
from gpuwatch_tray.poller import PeriodicThread
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.app import StoreLease
    from gpuwatch_tray.context import RunContext
    from gpuwatch_tray.courier import OutboxProcess
    from gpuwatch_tray.notifiers import PopupSink
    from gpuwatch_tray.settings import Changes, Settings
    from gpuwatch_tray.watching import Monitor

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two looks at the files
WITHIN = 0.2  # seconds that the last look may take at the end
KEY = "settings"


class SettingsReloader:
    """
    Looks after the files on a thread of its own: a home folder that hangs must not keep the GPUs unwatched.

    What is right goes to the watching, and to `adopt`, which has whatever else goes by the settings. What is
    wrong is told, and the settings before it hold.
    """

    def __init__(
        self,
        setup: RunContext,
        held: StoreLease,
        watching: Monitor,
        changes: Changes,
        adopt: Callable[[RunContext], None] = lambda _setup: None,
        popups: PopupSink | None = None,
    ) -> None:
        self._setup = setup
        self._held = held
        self._watching = watching
        self._changes = changes
        self._adopt = adopt
        self._popups = popups
        self._thread = PeriodicThread(self.look, EVERY, "settings", delay=EVERY)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._thread.stop(WITHIN)

    def look(self) -> None:
        """One look; on the thread."""
        loaded = self._changes.check()
        if loaded is None:
            return
        new = app.with_settings(self._setup, loaded)
        if new.problems:
            self._refuse(new)
        elif (new.settings, ()) != (self._setup.settings, self._setup.problems):
            self._take(new)

    def _refuse(self, new: RunContext) -> None:
        if new.problems == self._setup.problems:
            return  # as at the start
        self._setup = replace(self._setup, problems=new.problems)
        for problem in new.problems:
            log.warning("the settings stay as they were: %s", problem)
        self._watching.complain(new.problems)
        if self._popups is not None:
            self._popups.show(problem_popup(new, _("The settings stay as they were")))

    def _take(self, new: RunContext) -> None:
        if new.settings.language != language.current_language():
            note = _("UI_LANGUAGE: the new language is spoken from the next start on")
            new = replace(new, settings=replace(new.settings, warnings=(*new.settings.warnings, note)))
        before, self._setup = self._setup, new
        log.info("the settings have changed and are taken over")
        if _way(before.settings) != _way(new.settings):
            self._send_again()
        self._held.mails = new.policy.routing.mails
        self._held.write_description()
        self._watching.adopt(new, app.create_policy(new, popups=self._popups is not None), self._courier)
        self._adopt(new)
        if before.problems and self._popups is not None:
            self._popups.close(KEY)

    def _courier(self) -> OutboxProcess | None:
        return app.create_courier(self._setup, self._held.store)

    def _send_again(self) -> None:
        """What a wrong password kept back need not wait any longer."""
        try:
            self._held.store.make_mails_due(time.time())
        except StoreError as error:
            log.warning("%s", error)


def _way(settings: Settings) -> tuple[object, ...]:
    """What decides how a mail leaves."""
    gmail = (settings.gmail_credentials, settings.gmail_token)
    return settings.to_email, settings.notify_method, gmail, settings.from_email, settings.smtp


def problem_popup(setup: RunContext, title: str) -> Popup:
    """The one popup about the settings: the first problem with file and line, the others counted."""
    first, *others = map(str, setup.problems)
    body = first + ("\n" + _("and {count} more: see the menu").format(count=len(others)) if others else "")
    return Popup(KEY, title, body, Severity.WARNING)
