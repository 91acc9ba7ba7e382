"""
Reminders: when GPUs are free, when a process ends, how a command ended; pure.

A reminder takes a step with each observation. When its condition has come about it bears a notice, and stands
still until that is told. What could not be read is neither "free" nor "ended".
"""

from __future__ import annotations

from gpuwatch_tray.watches.free import free_gpus
from gpuwatch_tray.watches.process import GRACE, command_notice, total_memory
from gpuwatch_tray.watches.record import ReminderJson, reminder_from_json, reminder_to_json
from gpuwatch_tray.watches.stepping import (
    awaited,
    describe_reminder,
    must_be_saved,
    needs_process_check,
    step_reminder,
)
from gpuwatch_tray.watches.wishes import (
    CommandEnds,
    GpusFree,
    Observation,
    ProcessEnds,
    Reminder,
    ReminderCondition,
)

__all__ = [
    "GRACE",
    "CommandEnds",
    "GpusFree",
    "Observation",
    "ProcessEnds",
    "Reminder",
    "ReminderCondition",
    "ReminderJson",
    "awaited",
    "command_notice",
    "describe_reminder",
    "free_gpus",
    "must_be_saved",
    "needs_process_check",
    "reminder_from_json",
    "reminder_to_json",
    "step_reminder",
    "total_memory",
]
