"""
The alert core, pure: which conditions are alerts (`condition`) and which notices are due (`routing`).

Both take `now` as an argument and return values; nothing here keeps time, state or a file open.
"""

from __future__ import annotations

from gpuwatch_tray.alerts.condition import Change, ChangeKind, fingerprint, step
from gpuwatch_tray.alerts.routing import Channel, Due, Reason, due

__all__ = ["Change", "ChangeKind", "Channel", "Due", "Reason", "due", "fingerprint", "step"]
