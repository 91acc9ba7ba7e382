"""Mail transports and the factory that chooses one; the libraries of a transport are imported once chosen."""

from __future__ import annotations

from gpuwatch_tray.notify.email.factory import create_transport
from gpuwatch_tray.notify.transport import FailureKind, Receipt, Transport, TransportError

__all__ = ["FailureKind", "Receipt", "Transport", "TransportError", "create_transport"]
