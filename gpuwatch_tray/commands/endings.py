"""Ending a process by a click, and offering to kill it where it does not end."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.model import Button, Popup, Severity
from gpuwatch_tray.sources import ending
from gpuwatch_tray.sources.ending import PendingTerminations, ProcessTarget, TerminationResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.notifiers import PopupSink

log = logging.getLogger(__name__)

CHECK_AGAIN = 1.0  # seconds between two checks whether a process has ended
KILL_KEY = "kill "  # begins the key of a popup that offers to kill a process


class TerminationTracker:
    """
    Ends the processes that the person wants to end; called from worker threads.

    `changed` is called, also from a thread of its own, when `offered` has changed.
    """

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
        result = ending.terminate(*target, kill=kill)
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
            body = _("PID {pid} has not ended {seconds:g} s after it was asked to").format(
                pid=target.pid, seconds=ending.PATIENCE
            )
            buttons = (Button.KILL,)
            self._popups.show(
                Popup(f"{KILL_KEY}{target}", _("A process goes on"), body, Severity.WARNING, buttons)
            )
        for target in self.offered - stubborn:
            self._popups.close(f"{KILL_KEY}{target}")
        if stubborn != self.offered:
            self.offered = stubborn
            self._changed()
