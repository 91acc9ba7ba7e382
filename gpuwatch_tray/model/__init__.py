"""
The frozen values that pass between the rooms, and the table of settings.

A field that may be missing is a `Field`: a value, or a `Missing` that says in which of three ways it is
missing. Nothing may turn a `Missing` into a 0, an empty list or a green icon.

Units: memory in bytes, temperature in degrees C, power in W, utilisation and fan in %, time in seconds
(wall time since the epoch unless a name says otherwise).
"""

from __future__ import annotations

from gpuwatch_tray.model.alerts import FLAPPING, Alert, Finding, Phase, Reason, Severity, Verdict
from gpuwatch_tray.model.clock import PROCESS, Instant
from gpuwatch_tray.model.devices import (
    COMPUTING,
    LABEL,
    MAX_POWER,
    UNKNOWN,
    UNSUPPORTED,
    ClockLimit,
    Field,
    Gpu,
    GpuProcess,
    Missing,
    Problem,
    ProcessKind,
    Snapshot,
    Why,
    Xid,
    known,
    labelled,
)
from gpuwatch_tray.model.notifications import (
    LEVELS,
    Button,
    EmailWhen,
    IconStyle,
    Level,
    MailDetails,
    Message,
    MessageKind,
    PendingReminder,
    Popup,
    Presence,
    PresenceResult,
    ReminderNotice,
    Status,
)
from gpuwatch_tray.model.samples import (
    MINUTES_FOR,
    TEN_MINUTES,
    TENS_FOR,
    AlertMark,
    GpuFacts,
    GpuSample,
    History,
    Minute,
    ProcessRun,
    Span,
    Stretch,
    Use,
)
from gpuwatch_tray.model.schema import Auto
from gpuwatch_tray.model.thresholds import FaultLimits, HeatLimits, Limits, ProcessScope, Terms, UseLimits

__all__ = [
    "COMPUTING",
    "FLAPPING",
    "LABEL",
    "LEVELS",
    "MAX_POWER",
    "MINUTES_FOR",
    "PROCESS",
    "TENS_FOR",
    "TEN_MINUTES",
    "UNKNOWN",
    "UNSUPPORTED",
    "Alert",
    "AlertMark",
    "Auto",
    "PendingReminder",
    "Button",
    "ClockLimit",
    "MailDetails",
    "EmailWhen",
    "FaultLimits",
    "Field",
    "Finding",
    "Gpu",
    "GpuFacts",
    "GpuProcess",
    "GpuSample",
    "HeatLimits",
    "History",
    "IconStyle",
    "Instant",
    "ProcessKind",
    "Level",
    "Limits",
    "Message",
    "MessageKind",
    "Minute",
    "Missing",
    "ReminderNotice",
    "Phase",
    "Popup",
    "Presence",
    "Problem",
    "ProcessRun",
    "ProcessScope",
    "Reason",
    "Severity",
    "PresenceResult",
    "Snapshot",
    "Span",
    "Status",
    "Stretch",
    "Terms",
    "Use",
    "UseLimits",
    "Verdict",
    "Why",
    "Xid",
    "known",
    "labelled",
]
