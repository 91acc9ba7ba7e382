"""The door to the lab: what it is watched by is loaded once the settings name one, which most do not."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from gpuwatch_tray.app.bootstrap import AlreadyRunningError, acquire_store, create_outboxes
from gpuwatch_tray.app.channel_changes import make_changed_channels_due
from gpuwatch_tray.app.context import lab_context
from gpuwatch_tray.app.monitor import HOUSEKEEPING
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


class LabWatch:
    """
    The lab beside the monitor of this computer: started, ended and started anew as the settings have it.

    `show` gets its status, None where there is no lab. Another process that watches the lab is left to it.
    """

    def __init__(
        self,
        face: str,
        show: Callable[[LabStatus | None], None],
        popups: PopupSink | None = None,
        presence: Callable[[], PresenceResult] | None = None,
    ) -> None:
        self._face = face
        self._show = show
        self._popups = popups
        self._presence = presence
        self._running = ExitStack()
        self._context: RunContext | None = None
        self.monitor: LabMonitor | None = None
        self.lease: StoreLease | None = None

    def start(self, context: RunContext) -> None:
        """Watch the lab of these settings, if they name one."""
        lab = self._context = lab_context(context)
        if lab is None:
            self._show(None)
            return
        from gpuwatch_tray.app.lab_monitor import create_monitor

        try:
            lease = self._running.enter_context(acquire_store(lab, self._face))
            monitor = create_monitor(lab, lease.store, self._show, self._popups, self._presence)
        except AlreadyRunningError as other:
            log.info("the lab is watched already: %s", other)
            self._show(None)
            return
        except (StoreError, LockError) as error:
            self._running.close()
            log.warning("the lab is not watched: %s", error)
            headline = _("The lab is not watched: {why}").format(why=error)
            self._show(LabStatus(Level.NO_DATA, headline, time.time()))
            return
        self.lease, self.monitor = lease, monitor
        monitor.start()

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
        if (new, self.monitor) != (None, None):
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
        ended = self.monitor is None or self.monitor.stop(timeout)
        self.monitor = self.lease = None
        self._running.close()
        return ended
