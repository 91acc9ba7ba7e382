"""
Which way the mail takes (NOTIFY_METHOD).

`smtp` and `gmail_api` are strict. `auto`, the default, takes SMTP where smtp.env is set up, and then
strictly: a failure is not passed on to the local mail, as in the Bash tool. Else Gmail where its two files
are, else the computer's own mail programs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from gpuwatch_tray.language import _
from gpuwatch_tray.notifiers.email.passwords import password_of
from gpuwatch_tray.settings import NotifyMethod
from gpuwatch_tray.transport import FailureKind, Transport, TransportError

if TYPE_CHECKING:
    from gpuwatch_tray.settings import Settings


def choose(settings: Settings) -> Transport:
    """The way out that these settings ask for; TransportError (CONFIGURATION) when it is not set up."""
    if not settings.to_email:
        raise TransportError(
            FailureKind.CONFIGURATION,
            _("{config}: TO_EMAIL is not set").format(config=settings.config),
            _('write TO_EMAIL="name@host" into it'),
        )
    match settings.notify_method:
        case NotifyMethod.SMTP:
            return _smtp(settings)
        case NotifyMethod.GMAIL_API:
            return _gmail(settings)
        case NotifyMethod.AUTO:
            if settings.smtp is not None:
                return _smtp(settings)
            if _has_gmail(settings):
                return _gmail(settings)
            return _local(settings)
    assert_never(settings.notify_method)


def _has_gmail(settings: Settings) -> bool:
    files = (settings.gmail_credentials, settings.gmail_token)
    return all(file is not None and file.is_file() for file in files)


def _smtp(settings: Settings) -> Transport:
    if settings.smtp is None:
        raise TransportError(
            FailureKind.CONFIGURATION,
            _("mail is to go by SMTP, but smtp.env is not set up"),
            _("set SMTP_HOST, SMTP_USER and SMTP_PASS in smtp.env"),
        )
    from gpuwatch_tray.notifiers.email.smtp import SmtpTransport  # only the way taken

    return SmtpTransport(replace(settings.smtp, password=password_of(settings.smtp)), settings.to_email)


def _gmail(settings: Settings) -> Transport:
    if settings.gmail_token is None:
        raise TransportError(
            FailureKind.CONFIGURATION,
            _("mail is to go by Gmail, but GMAIL_API_TOKEN is not set"),
            _("set GMAIL_API_CREDENTIALS and GMAIL_API_TOKEN in notify.env"),
        )
    from gpuwatch_tray.notifiers.email.gmail import GmailTransport  # only the way taken

    return GmailTransport(
        settings.gmail_token,
        settings.to_email,
        credentials=settings.gmail_credentials,
        from_email=settings.from_email,
    )


def _local(settings: Settings) -> Transport:
    from gpuwatch_tray.notifiers.email.local import LocalTransport  # only the way taken

    return LocalTransport(settings.to_email, from_email=settings.from_email)
