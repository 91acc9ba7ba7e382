"""The SMTP transport."""

from __future__ import annotations

from gpuwatch_tray.notifiers.email.smtp.transport import SmtpTransport

__all__ = ["SmtpTransport"]
