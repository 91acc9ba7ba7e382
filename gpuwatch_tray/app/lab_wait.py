"""`when free --on` and `when ends HOST:PID`: reminders on the lab's state, read by the running program."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from gpuwatch_tray.app.bootstrap import open_store
from gpuwatch_tray.app.context import WorkError
from gpuwatch_tray.app.lab_monitor import read_lab_once, silences_file
from gpuwatch_tray.app.lab_operations import lab_store
from gpuwatch_tray.common import host
from gpuwatch_tray.engine.lab_reminders import LabReminders
from gpuwatch_tray.engine.operations import ReminderError
from gpuwatch_tray.lab.source import open_lab

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.app.context import RunContext


def add_lab_free(lab: RunContext, count: int, on: str, hold: float, *, memory: int, spread: bool) -> str:
    """Wait for GPUs on hosts of the lab; raises WorkError where one read of it shows that none can come."""
    view = read_lab_once(lab)
    looks = lab.settings.lab.looks_free
    return _operate(
        lab, lambda of: of.add_free(count, on, view, hold, memory=memory, spread=spread, looks=looks)
    )


def add_lab_end(lab: RunContext, name: str, pid: int) -> str:
    """Wait for the end of a process on a host of the lab, which is asked for it. Raises WorkError."""
    with closing(open_lab(lab.settings.lab, lab.user, silences_file(lab))) as source:
        snapshot = source.detail(name)
    return _operate(lab, lambda of: of.add_end(name, pid, snapshot))


def cancel_lab_reminder(lab: RunContext, number: int) -> str:
    """Wait no longer. Raises WorkError."""
    return _operate(lab, lambda of: of.cancel(number))


def lab_reminder_lines(context: RunContext) -> list[str]:
    """Return a line for each reminder about the lab; none where there is no lab."""
    with lab_store(context) as store:
        return [] if store is None else list(LabReminders(store, host.now).lines())


def _operate(lab: RunContext, operation: Callable[[LabReminders], str]) -> str:
    with closing(open_store(lab)) as store:
        try:
            return operation(LabReminders(store, host.now))
        except ReminderError as error:
            raise WorkError(str(error)) from error
