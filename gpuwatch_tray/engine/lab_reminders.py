"""What a person asks to be told of a lab once: GPUs that are free on its hosts, a process that ends there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.alerts.lab_reminders import MOST_ROOM, devices_of, room_wanted, why_never_free
from gpuwatch_tray.alerts.reminder_types import LabGpusFree, LabProcessEnds, Reminder
from gpuwatch_tray.alerts.reminders import describe_reminder
from gpuwatch_tray.common import redact
from gpuwatch_tray.engine.operations import HOLD, ReminderError, ReminderList, clipped
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Missing
from gpuwatch_tray.model.units import memory_text

if TYPE_CHECKING:
    from gpuwatch_tray.model import LabView, Snapshot


class LabReminders(ReminderList):
    """The reminders about a lab."""

    PREFIX = "L"

    def add_free(
        self,
        count: int,
        on: str,
        view: LabView | None,
        hold: float = HOLD,
        *,
        memory: int = 0,
        spread: bool = False,
        looks: bool = False,
    ) -> str:
        """
        Wait until `count` GPUs are free at once on one of the hosts `on`, or with `spread` over all of them.

        Raises ReminderError where that can never be told.
        """
        condition = LabGpusFree(count, hold, on=on, spread=spread, memory=memory, looks=looks)
        if view is not None and view.problem is None and (why := why_never_free(condition, view)):
            raise ReminderError(why)
        amounts = {room.memory for room in room_wanted(self._store.reminders())}
        if memory and memory not in amounts and len(amounts) >= MOST_ROOM:
            sizes = ", ".join(map(memory_text, sorted(amounts)))
            text = _("{count} amounts of memory are waited for already: {sizes}; take one of them")
            raise ReminderError(text.format(count=len(amounts), sizes=sizes))
        return self._unless_waited(condition)

    def add_end(self, host: str, pid: int, snapshot: Snapshot) -> str:
        """Wait until a process of that host is gone from its GPUs. Raises ReminderError."""
        if snapshot.problem is not None:
            raise ReminderError(str(snapshot.problem))
        entries = [entry for entry in snapshot.processes if entry.pid == pid]
        if not entries:
            there = ", ".join(str(entry.pid) for entry in snapshot.processes) or _("none")
            text = _("process {pid} is not on a GPU of {host} (there: {pids})")
            raise ReminderError(text.format(pid=pid, host=host, pids=there))
        process = entries[0]
        started = None if isinstance(process.started, Missing) else process.started
        called, devices = clipped(redact.command(process)), devices_of(entries, snapshot)
        return self._unless_waited(LabProcessEnds(host, pid, called, started, devices=devices))

    def _unless_waited(self, condition: LabGpusFree | LabProcessEnds) -> str:
        what = describe_reminder(Reminder(0, self._clock(), condition))
        for other in self._store.reminders():
            if describe_reminder(other) == what and other.notice is None:
                return self._already(other)
        return self._add(condition)
