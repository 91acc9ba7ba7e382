"""The way by SMTP, in bounded time and with every failure classed."""

from __future__ import annotations

from gpuwatch_tray.notifiers.email.smtp.transport import SmtpTransport

__all__ = ["SmtpTransport"]
