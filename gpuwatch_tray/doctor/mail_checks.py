"""The checks of mail: the transport, and the outbox."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.doctor.output import CheckResult, CheckState, ok, problem, warning
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import EmailWhen
from gpuwatch_tray.model.units import TO_THE_MINUTE, local_time
from gpuwatch_tray.notify.email import create_transport
from gpuwatch_tray.notify.email.google_credentials import read_token
from gpuwatch_tray.notify.email.secrets import password_source, smtp_password
from gpuwatch_tray.notify.email.sendmail import LocalTransport
from gpuwatch_tray.notify.email.smtp import SmtpTransport
from gpuwatch_tray.notify.transport import FailureKind, TransportError
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuwatch_tray.settings import Settings
    from gpuwatch_tray.store import OutboxSummary, Store


MAIL_TOPIC, OUTBOX_TOPIC = "mail", "outbox"
LATE_AFTER = 300.0  # seconds after which a mail that waits without an error is a warning
TEMPORARY_FAILURES = {FailureKind.TRANSIENT.value, FailureKind.AMBIGUOUS.value, FailureKind.QUOTA.value, ""}


def check_transport(settings: Settings) -> Iterator[CheckResult]:
    """Check the transport of the settings, without asking a server."""
    if not settings.to_email:
        text = _("off: {why}").format(why=redact.text(settings.no_recipient))
        if settings.chats:  # somebody is told all the same
            yield ok(MAIL_TOPIC, text)
            return
        there = settings.config.is_file()
        yield warning(
            MAIL_TOPIC, text, _("set TO_EMAIL in that file") if there else "gpuwatch-tray setup mail"
        )
        return
    if settings.routing.email_when is EmailWhen.NEVER:
        yield ok(MAIL_TOPIC, _("off: EMAIL_WHEN=never"))
        return
    try:
        name = _transport_name(settings)
    except TransportError as error:
        yield problem(MAIL_TOPIC, redact.text(error.text), redact.text(error.mend))
        return
    to = ngettext("to {count} address", "to {count} addresses", len(settings.to_email))
    text = _("by {way}, {to}").format(way=redact.text(name), to=to.format(count=len(settings.to_email)))
    yield ok(MAIL_TOPIC, text)


def mail_trouble(settings: Settings) -> str:
    """Say why no mail can leave with these settings and what to do, as `mail test` would; else ''."""
    results = [result for result in check_transport(settings) if result.state is CheckState.PROBLEM]
    return "\n".join(line for result in results for line in (result.text, result.mend) if line)


def _transport_name(settings: Settings) -> str:
    """Check what the transport needs on this machine, and return its name; raises TransportError."""
    transport = create_transport(settings)
    smtp = settings.smtp
    if isinstance(transport, LocalTransport):
        transport.probe(lambda _step: None)
    elif isinstance(transport, SmtpTransport) and smtp is not None:
        if smtp.password_file is not None:
            smtp_password(smtp)  # not the keyring, which may ask the person to unlock it
        if source := password_source(smtp):
            return _("{way} with the password of {source}").format(way=transport.name, source=source)
    elif settings.gmail_token is not None:
        read_token(settings.gmail_token)
    return transport.name


def check_outbox(
    open_store: Callable[[], Store | None],
    now: Callable[[], float] = time.time,
    deliver: str = "gpuwatch-tray mail deliver",
) -> Iterator[CheckResult]:
    """Check what waits; `open_store` returns None where there is no state yet, `deliver` sends it."""
    try:
        store = open_store()
        if store is None:
            yield ok(OUTBOX_TOPIC, _("no queued mails"))
            return
        with closing(store):
            waiting = store.outbox_summary(now())
            yield _waiting_result(waiting, now(), deliver)
            yield from _stuck_results(waiting)
    except StoreError as error:
        yield problem(OUTBOX_TOPIC, redact.text(str(error)))


def _stuck_results(waiting: OutboxSummary) -> Iterator[CheckResult]:
    """Find the mails that are not sent by themselves."""
    if waiting.held:
        text = ngettext(
            "{count} mail is held for a digest", "{count} mails are held for a digest", waiting.held
        )
        yield ok(OUTBOX_TOPIC, text.format(count=waiting.held))
    if waiting.dead:
        text = ngettext(
            "{count} mail was given up: {error}", "{count} mails were given up: {error}", waiting.dead
        )
        dead = text.format(count=waiting.dead, error=redact.text(waiting.dead_error))
        yield problem(
            OUTBOX_TOPIC, dead, "gpuwatch-tray mail queue; gpuwatch-tray mail retry ID, mail drop ID"
        )


def _waiting_result(waiting: OutboxSummary, now: float, deliver: str) -> CheckResult:
    if not waiting.count:
        return ok(OUTBOX_TOPIC, _("no queued mails"))
    text = ngettext("{count} mail waits", "{count} mails wait", waiting.count).format(count=waiting.count)
    if waiting.oldest is not None:
        since = local_time(waiting.oldest, TO_THE_MINUTE)
        text += _(" since {time}").format(time=since)
    if waiting.error:
        text += f": {redact.text(waiting.error)}"
        if waiting.failure not in TEMPORARY_FAILURES:
            return problem(
                OUTBOX_TOPIC, text, _("test the connection with `gpuwatch-tray check --test-mail`")
            )
        return warning(OUTBOX_TOPIC, text, _("it will be tried again automatically"))
    if waiting.oldest is not None and now - waiting.oldest > LATE_AFTER:
        return warning(OUTBOX_TOPIC, text, _("send it now with `{command}`").format(command=deliver))
    return ok(OUTBOX_TOPIC, text)
