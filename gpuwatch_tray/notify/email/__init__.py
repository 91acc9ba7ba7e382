"""
Mail transports: SMTP, the Gmail API, the computer's own mail programs, and the factory that chooses one.

Importing this package is cheap: the libraries of a transport are imported once it is chosen.
"""

from __future__ import annotations

from gpuwatch_tray.notify.email.factory import create_transport
from gpuwatch_tray.notify.transport import FailureKind, Receipt, Transport, TransportError

__all__ = ["FailureKind", "Receipt", "Transport", "TransportError", "create_transport"]
