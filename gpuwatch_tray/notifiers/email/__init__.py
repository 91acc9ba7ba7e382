"""
The ways a mail can leave: SMTP, the Gmail API, the computer's own mail programs, and the choice among them.

Importing this room is cheap; what a way needs is imported when it is chosen.
"""

from __future__ import annotations

from gpuwatch_tray.notifiers.email.choice import choose
from gpuwatch_tray.transport import FailureKind, Receipt, Transport, TransportError

__all__ = ["FailureKind", "Receipt", "Transport", "TransportError", "choose"]
