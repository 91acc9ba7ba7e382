"""The step of any reminder, and what of it has to be on file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray.model import PendingReminder
from gpuwatch_tray.units import MIB, MINUTE
from gpuwatch_tray.watches.free import describe_free, step_free
from gpuwatch_tray.watches.process import (
    describe_command,
    describe_process,
    on_gpus,
    step_command,
    step_process,
)
from gpuwatch_tray.watches.wishes import GpusFree, ProcessEnds, Reminder

if TYPE_CHECKING:
    from gpuwatch_tray.model import Instant, ReminderNotice, Snapshot
    from gpuwatch_tray.watches.wishes import Observation, ReminderCondition

PEAK_STEP = 64 * MIB  # bytes: a peak that grows by less need not be written


def step_reminder(reminder: Reminder, observation: Observation) -> Reminder:
    """Return the reminder after `observation`; one that has its notice stays as it is."""
    if reminder.notice is not None:
        return reminder
    condition, notice = _step_condition(reminder.condition, observation)
    return replace(reminder, condition=condition, notice=notice)


def _step_condition(
    condition: ReminderCondition, observation: Observation
) -> tuple[ReminderCondition, ReminderNotice | None]:
    if isinstance(condition, GpusFree):
        return step_free(condition, observation)
    if isinstance(condition, ProcessEnds):
        return step_process(condition, observation)
    return step_command(condition, observation)


def needs_process_check(reminder: Reminder, snapshot: Snapshot) -> bool:
    """Whether the step needs to know from the system if the process lives."""
    condition = reminder.condition
    if reminder.notice is not None or isinstance(condition, GpusFree):
        return False
    if isinstance(condition, ProcessEnds):
        return condition.local and bool(condition.identity) and not on_gpus(condition, snapshot)
    return bool(condition.identity)


def describe_reminder(reminder: Reminder) -> str:
    """Put the condition into one line, for a menu row or `when list`."""
    condition = reminder.condition
    if isinstance(condition, GpusFree):
        return describe_free(condition)
    return describe_process(condition) if isinstance(condition, ProcessEnds) else describe_command(condition)


def awaited(reminder: Reminder) -> PendingReminder:
    """Return the reminder as the menu shows it."""
    condition = reminder.condition
    target = (
        str(condition.count) if isinstance(condition, GpusFree) else f"{condition.pid}:{condition.identity}"
    )
    text = describe_reminder(reminder) if reminder.notice is None else reminder.notice.text
    return PendingReminder(reminder.id, target, text, due=reminder.notice is not None)


def must_be_saved(old: Reminder, new: Reminder) -> bool:
    """
    Whether what was observed since `old` must be on file now.

    A reminder may wait for days, and the disk is not written at each poll for it: while nothing happens, once
    a minute. After a restart a GPU's hold may then begin anew, which tells later and never wrongly.
    """
    return _essence(old) != _essence(new)


def _essence(reminder: Reminder) -> tuple[object, ...]:
    condition = reminder.condition
    if isinstance(condition, GpusFree):
        seen = condition.seen
        held = seen is not None and any(seen.since(at) < condition.hold for _, at in condition.since)
        return reminder.notice, condition.since, seen if held else _minute(seen)
    peak = None if condition.peak is None else condition.peak // PEAK_STEP
    if isinstance(condition, ProcessEnds):
        return reminder.notice, peak, condition.gpus, condition.elapsed is None, _minute(condition.seen)
    return reminder.notice, peak, condition.gone


def _minute(at: Instant | None) -> object:
    return None if at is None else (at.boot, at.uptime // MINUTE if at.boot else at.wall // MINUTE)
