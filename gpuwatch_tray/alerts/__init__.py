"""
The alert core, pure: the state machine, silences, routing, and reminders.

All take the time as an argument and return values.
"""

from __future__ import annotations

from gpuwatch_tray.alerts.routing import Channel, ChatRoute, Decision, DeliveryState, RoutingPolicy, decide
from gpuwatch_tray.alerts.silences import Silence, SilenceScope, apply_silences, snoozed_until, until_tomorrow
from gpuwatch_tray.alerts.state_machine import AlertChange, ChangeKind, Tick, fingerprint, flapping, step

__all__ = [
    "AlertChange",
    "ChangeKind",
    "Channel",
    "ChatRoute",
    "Decision",
    "DeliveryState",
    "RoutingPolicy",
    "Silence",
    "SilenceScope",
    "Tick",
    "apply_silences",
    "decide",
    "fingerprint",
    "flapping",
    "snoozed_until",
    "step",
    "until_tomorrow",
]
