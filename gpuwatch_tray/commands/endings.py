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

LOOK_AGAIN = 1.0  # seconds between two looks after a process that was asked to end
KILL = "kill "  # begins the key of a popup that offers to kill a process


class TerminationTracker:
    """
    The processes that the person wants to end; called from worker threads.

    `changed` is called, also from a thread of its own, when `offered` has changed.
    """

    def __init__(self, popups: PopupSink, changed: Callable[[], None]) -> None:
        self._popups = popups
        self._changed = changed
        self._endings = PendingTerminations()
        self._lock = threading.Lock()
        self._looking = False
        self.offered: frozenset[ProcessTarget] = frozenset()  # those that go on, and may be killed

    def end(self, words: str, *, kill: bool = False) -> str:
        """End the process that a row or a popup named; why not, where it was refused."""
        target = ProcessTarget.parse(words)
        found = ending.terminate(*target, kill=kill)
        if found.sent:
            self._endings.add(*target, time.monotonic(), kill=kill)
            self._look_later()
        return "" if found.sent or found is TerminationResult.ENDED_ALREADY else _(found.value)

    def _look_later(self) -> None:
        """One look at a time, however often it is asked for."""
        with self._lock:
            if self._looking:
                return
            self._looking = True
        timer = threading.Timer(LOOK_AGAIN, self._look_once)
        timer.daemon = True
        timer.start()

    def _look_once(self) -> None:
        with self._lock:
            self._looking = False
        try:
            self._look()
        except Exception:
            log.exception("looking after the processes that were asked to end failed")
        if self._endings.pending() or self.offered:
            self._look_later()

    def _look(self) -> None:
        """Offer to kill what did not end, and take the offer back when it has."""
        stubborn = frozenset(self._endings.unresponsive(time.monotonic()))
        for target in stubborn - self.offered:
            body = _("PID {pid} has not ended {seconds:g} s after it was asked to").format(
                pid=target.pid, seconds=ending.PATIENCE
            )
            buttons = (Button.KILL,)
            self._popups.show(
                Popup(f"{KILL}{target}", _("A process goes on"), body, Severity.WARNING, buttons)
            )
        for target in self.offered - stubborn:
            self._popups.close(f"{KILL}{target}")
        if stubborn != self.offered:
            self.offered = stubborn
            self._changed()
