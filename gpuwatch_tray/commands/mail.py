"""`mail`: the outbox and its ways out."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

from gpuwatch_tray.app import open_store
from gpuwatch_tray.commands.picture import drawer
from gpuwatch_tray.context import Setup, UsageError, WorkError
from gpuwatch_tray.delivery import OutboxPort, Report, deliver_due, send
from gpuwatch_tray.evaluator import late_digest
from gpuwatch_tray.language import _, ngettext
from gpuwatch_tray.model import EmailWhen
from gpuwatch_tray.store import handover

if TYPE_CHECKING:
    from gpuwatch_tray.model import Message
    from gpuwatch_tray.store import Store

log = logging.getLogger(__name__)


def deliver(setup: Setup, *, handed: bool = False) -> int:
    """
    Send what the outbox holds and is due; what fails stays there, and is named.

    `handed`: not from the outbox, but what another process hands over, which gets the answers.
    """
    refuse_demo(setup)
    if handed and setup.settings.email_when is not EmailWhen.NEVER:
        outbox = handover.PipedOutbox(sys.stdin.buffer, sys.stdout.buffer)
        return 1 if _send_due(setup, outbox).failures else 0
    with closing(open_store(setup)) as store:
        failures = deliver_now(setup, store)
    for line in failures:
        log.error("%s", line)
    return 1 if failures else 0


def deliver_now(setup: Setup, store: Store) -> list[str]:
    """Send what is due, and return a line for each mail that could not be sent, now or before."""
    if setup.settings.email_when is EmailWhen.NEVER:
        return []  # what waits from before goes when that is changed
    report = _send_due(setup, store)
    failures = [
        _("mail not sent, kept to be sent again: {why}").format(why=failure)
        for failure in report.failures
        if failure.at is not None
    ]
    waiting = store.outbox_summary(time.time())
    if waiting.error and not failures:
        failures = [
            _("{count} unsent, kept to be sent again: {why}").format(count=waiting.count, why=waiting.error)
        ]
    if waiting.dead:
        failures.append(
            ngettext(
                "{count} mail given up (`gpuwatch-tray mail queue`): {why}",
                "{count} mails given up (`gpuwatch-tray mail queue`): {why}",
                waiting.dead,
            ).format(count=waiting.dead, why=waiting.dead_error)
        )
    return failures


def _send_due(setup: Setup, outbox: OutboxPort) -> Report:
    # A late import: only the process that sends loads the mail libraries.
    from gpuwatch_tray.notifiers.email import choose

    # The picture is drawn here: the tray stays small, and what it shows is as new as can be.
    return deliver_due(
        outbox,
        lambda: choose(setup.settings),
        time.time,
        gather=late_digest(setup.head),
        draw=drawer(setup),
    )


def send_now(setup: Setup, message: Message) -> tuple[str, list[str]]:
    """
    Send `message` past the outbox: by which transport it left and what the server answered.

    With it a line for each of several recipients, or group of them, who was refused. Raises WorkError.
    """
    from gpuwatch_tray.notifiers.email import TransportError, choose, mime

    try:
        receipt = send(choose(setup.settings), message, drawer(setup))
    except TransportError as error:
        raise WorkError(_("mail not sent: {why}").format(why=error)) from error
    # The way is open: what an earlier failure put off need not wait any longer.
    with closing(open_store(setup)) as store:
        store.make_mails_due(time.time())
    refused = {name for missed in receipt.missed for name in missed.recipients}
    to = mime.addresses(setup.settings.to_email, "TO_EMAIL")
    got = [name for name in to if name not in refused]
    said = _("mail sent to {recipients} by {transport}: {answer}").format(
        recipients=", ".join(got), transport=receipt.transport, answer=receipt.answer
    )
    return said, [_("mail not taken for all: {why}").format(why=missed.error) for missed in receipt.missed]


def refuse_demo(setup: Setup) -> None:
    """Raise UsageError where a demo is asked to mail."""
    if setup.simulated:
        raise UsageError(_("a demo mails nowhere: leave out --demo"))
