"""
The errors of the ways out, under the name the email room uses for them.

They live in `gpuwatch_tray.transport`, because the outbox's runner must know them without knowing this room.
"""

from __future__ import annotations

from gpuwatch_tray.transport import FailureKind, Receipt, Transport, TransportError

__all__ = ["FailureKind", "Receipt", "Transport", "TransportError"]
