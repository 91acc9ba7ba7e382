"""The door to the lab: what it is watched by is loaded once the settings name one, which most do not."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from gpuwatch_tray.app.bootstrap import AlreadyRunningError, acquire_store, create_outboxes
from gpuwatch_tray.app.channel_changes import make_changed_channels_due
from gpuwatch_tray.app.context import lab_context
from gpuwatch_tray.app.monitor import HOUSEKEEPING
from gpuwatch_tray.common.threads import run_forever, start_thread
from gpuwatch_tray.i18n import _
from gpuwatch_tray.ipc.lock import LockError
from gpuwatch_tray.model import LabStatus, Level
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.app.bootstrap import StoreLease
    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.app.lab_monitor import LabMonitor
    from gpuwatch_tray.model import PresenceResult
    from gpuwatch_tray.notify.sinks import PopupSink


log = logging.getLogger(__name__)

TRY_AGAIN = 15.0  # seconds between two tries to watch a lab that another process watches


class LabWatch:
    """
    The lab beside the monitor of this computer: started, ended and started anew as the settings have it.

    `show` gets its status, None where there is no lab. One that another process watches, or whose state
    cannot be had, is tried again every `try_again` seconds: that goes on from the state as the other left it.
    """

    def __init__(
        self,
        face: str,
        show: Callable[[LabStatus | None], None],
        popups: PopupSink | None = None,
        presence: Callable[[], PresenceResult] | None = None,
        try_again: float = TRY_AGAIN,
    ) -> None:
        self._face = face
        self._show = show
        self._popups = popups
        self._presence = presence
        self._try_again = try_again
        self._running = ExitStack()
        self._context: RunContext | None = None
        self._changing = threading.Lock()
        self._given_up = threading.Event()  # ends the tries
        self._obstacle = ""  # the last that was logged
        self.monitor: LabMonitor | None = None
        self.lease: StoreLease | None = None

    def start(self, context: RunContext) -> None:
        """Watch the lab of these settings, if they name one: now, or as soon as that can be."""
        with self._changing:
            lab = self._context = lab_context(context)
            self._given_up = given_up = threading.Event()
            if lab is None:
                self._show(None)
            elif not self._begin(lab):
                wait = partial(self._wait, lab, given_up)
                start_thread("lab turn", run_forever, "lab turn", wait, given_up)

    def _wait(self, lab: RunContext, given_up: threading.Event) -> None:
        """Try again and again, until the lab is watched here or that is no longer wanted."""
        while not given_up.wait(self._try_again):
            with self._changing:
                if given_up.is_set() or self._begin(lab):
                    return

    def _begin(self, lab: RunContext) -> bool:
        """Watch the lab; False where that cannot be now, which is shown."""
        from gpuwatch_tray.app.lab_monitor import create_monitor

        try:
            with ExitStack() as stack:
                lease = stack.enter_context(acquire_store(lab, self._face))
                monitor = create_monitor(lab, lease.store, self._show, self._popups, self._presence)
                self._running = stack.pop_all()
        except AlreadyRunningError as other:
            text = _("another process watches the lab, and tells of it: {holder}").format(holder=other.holder)
            self._show_obstacle(text, elsewhere=True)
            return False
        except (StoreError, LockError) as error:
            self._show_obstacle(_("The lab is not watched: {why}").format(why=error))
            return False
        if self._obstacle:
            log.warning("the lab is watched now")
            self._obstacle = ""
        self.lease, self.monitor = lease, monitor
        monitor.start()
        return True

    def _show_obstacle(self, text: str, *, elsewhere: bool = False) -> None:
        if text != self._obstacle:  # the same at each try would only fill the log
            self._obstacle = text
            log.log(logging.INFO if elsewhere else logging.WARNING, "%s", text)
            self._show(LabStatus(Level.NO_DATA, text, time.time(), elsewhere=elsewhere))

    def reconfigure(self, context: RunContext) -> None:
        """Go by changed settings; where the lab itself is another now, begin anew."""
        new, old = lab_context(context), self._context
        monitor, lease = self.monitor, self.lease
        same = new is not None and old is not None and new.settings.lab == old.settings.lab
        if same and new and old and monitor is not None and lease is not None:
            self._context = new
            make_changed_channels_due(lease.store, old.settings, new.settings)
            monitor.reconfigure(new, create_outboxes(new, lease.store))
            return
        if (new, old) != (None, None):
            self.stop(HOUSEKEEPING)
            if monitor is not None:
                monitor.withdraw_popups()
            self.start(context)

    def explain(self) -> tuple[str, ...]:
        """Say of each rule what it makes of the lab, below a heading; nothing where there is none."""
        if self.monitor is None:
            return ()
        return ("", _("The lab:"), "", *self.monitor.explain())

    @property
    def waiting(self) -> dict[str, int]:
        """How many mails and messages about the lab wait, by channel."""
        monitor = self.monitor
        return {} if monitor is None else monitor.waiting

    def check_now(self) -> None:
        """Poll the lab now."""
        if self.monitor is not None:
            self.monitor.check_now()

    def stop(self, timeout: float) -> bool:
        """End it; False where its thread is stuck."""
        self._given_up.set()
        if not self._changing.acquire(timeout=timeout):  # by a try that hangs in the state's folder
            return False
        try:
            ended = self.monitor is None or self.monitor.stop(timeout)
            self.monitor = self.lease = None
            self._obstacle = ""
            self._running.close()
            return ended
        finally:
            self._changing.release()
