"""
The alert core, pure, in three layers: `condition`, `attention` and `routing`.

All take the time as an argument and return values; nothing here keeps time, state or a file open.
"""

from __future__ import annotations

from gpuwatch_tray.alerts.attention import Scope, Silence, attend, snoozed_until, until_tomorrow
from gpuwatch_tray.alerts.condition import Change, ChangeKind, Tick, fingerprint, flapping, step
from gpuwatch_tray.alerts.routing import Channel, Decision, Told, Ways, decide

__all__ = [
    "Change",
    "ChangeKind",
    "Channel",
    "Decision",
    "Scope",
    "Silence",
    "Tick",
    "Told",
    "Ways",
    "attend",
    "decide",
    "fingerprint",
    "flapping",
    "snoozed_until",
    "step",
    "until_tomorrow",
]
