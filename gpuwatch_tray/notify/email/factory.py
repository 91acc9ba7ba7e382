"""
The mail transport that NOTIFY_METHOD selects.

`auto`, the default: SMTP where smtp.env is set up, else Gmail where its two files exist, else the computer's
mail programs. As in the Bash tool, a transport that fails is not replaced by the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.i18n import _
from gpuwatch_tray.notify.email.secrets import smtp_password
from gpuwatch_tray.notify.transport import Transport, configuration_error
from gpuwatch_tray.settings import NotifyMethod

if TYPE_CHECKING:
    from gpuwatch_tray.settings import Settings


def create_transport(settings: Settings) -> Transport:
    """Return the transport that `settings` select; TransportError (CONFIGURATION) if it is not set up."""
    if not settings.to_email:
        text = _("{config}: TO_EMAIL is not set").format(config=settings.config)
        raise configuration_error(text, _('add TO_EMAIL="name@host" to it'))
    method = settings.notify_method
    files = (settings.gmail_credentials, settings.gmail_token)
    if method is NotifyMethod.SMTP or (method is NotifyMethod.AUTO and settings.smtp is not None):
        return _smtp(settings)
    if method is NotifyMethod.GMAIL_API or all(file is not None and file.is_file() for file in files):
        return _gmail(settings)
    from gpuwatch_tray.notify.email.sendmail import LocalTransport  # only the one selected

    return LocalTransport(settings.to_email, from_email=settings.from_email)


def _smtp(settings: Settings) -> Transport:
    if settings.smtp is None:
        raise configuration_error(
            _("mail is set to use SMTP, but smtp.env is not set up"),
            _("set SMTP_HOST, SMTP_USER and SMTP_PASS in smtp.env"),
        )
    from gpuwatch_tray.notify.email.smtp import SmtpTransport  # only the one selected

    return SmtpTransport(replace(settings.smtp, password=smtp_password(settings.smtp)), settings.to_email)


def _gmail(settings: Settings) -> Transport:
    if settings.gmail_token is None:
        raise configuration_error(
            _("mail is set to use Gmail, but GMAIL_API_TOKEN is not set"),
            _("set GMAIL_API_CREDENTIALS and GMAIL_API_TOKEN in notify.env"),
        )
    from gpuwatch_tray.notify.email.gmail import GmailTransport  # only the one selected

    token, client = settings.gmail_token, settings.gmail_credentials
    return GmailTransport(token, settings.to_email, credentials=client, from_email=settings.from_email)
