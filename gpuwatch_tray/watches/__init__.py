"""
What a person asked to be told once: when GPUs are free, when a process ends, how a command ended; pure.

A watch takes a step with each look at the GPUs. When what it waits for has come about it bears a notice, and
stands still until that is told. What could not be read is neither "free" nor "ended".
"""

from __future__ import annotations

from gpuwatch_tray.watches.free import free_gpus
from gpuwatch_tray.watches.process import GRACE, memory_of, reported
from gpuwatch_tray.watches.record import Body, packed, unpacked
from gpuwatch_tray.watches.stepping import asks_the_system, awaited, says, step, worth_keeping
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
    "Body",
    "CommandEnds",
    "GpusFree",
    "Observation",
    "ProcessEnds",
    "Reminder",
    "ReminderCondition",
    "asks_the_system",
    "awaited",
    "free_gpus",
    "memory_of",
    "packed",
    "reported",
    "says",
    "step",
    "unpacked",
    "worth_keeping",
]
