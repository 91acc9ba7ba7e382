"""`mail`: the outbox and its ways out."""

from __future__ import annotations

import logging
import sys
import time

from gpuwatch_tray.app import Setup, UsageError, WorkError
from gpuwatch_tray.delivery import deliver_due
from gpuwatch_tray.model import Message
from gpuwatch_tray.store import Store

log = logging.getLogger(__name__)


def deliver(setup: Setup) -> int:
    """Send what the outbox holds and is due; what fails stays there, and is named."""
    store = Store(setup.settings.state, setup.host)
    try:
        failures = deliver_now(setup, store)
    finally:
        store.close()
    for line in failures:
        log.error("%s", line)
    return 1 if failures else 0


def deliver_now(setup: Setup, store: Store) -> list[str]:
    """Send what is due, and return a line for each mail that has to wait."""
    # A late import: only the process that sends loads the mail libraries.
    from gpuwatch_tray.notifiers.email import choose

    report = deliver_due(store, lambda: choose(setup.settings), time.time)
    return [f"mail not sent, kept to be sent again: {failure}" for failure in report.failures]


def send_now(setup: Setup, message: Message) -> str:
    """Send `message` past the outbox, and return by which transport and what the server answered."""
    from gpuwatch_tray.notifiers.email import TransportError, choose

    try:
        receipt = choose(setup.settings).send(message)
    except TransportError as error:
        raise WorkError(f"mail not sent: {error}") from error
    return f"mail sent to {', '.join(setup.settings.to_email)} by {receipt.transport}: {receipt.answer}"


def login(setup: Setup) -> int:
    """Sign in to Gmail and write token.json."""
    setup.require()
    from gpuwatch_tray.notifiers.email import TransportError
    from gpuwatch_tray.notifiers.email.login import login as sign_in

    try:
        token = sign_in(setup.settings, open_browser=sys.stdout.isatty(), out=sys.stdout)
    except TransportError as error:
        raise UsageError(str(error)) from error
    print(f"signed in; the token is in {token}")
    return 0
