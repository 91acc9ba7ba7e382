"""The running program's answers to `mail queue`, `mail retry` and `mail drop`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias

from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.app.monitor import Monitor
    from gpuwatch_tray.ipc import Handler
    from gpuwatch_tray.store import OutboxMail, Store


OutboxOperation: TypeAlias = "Callable[[Store, Mapping[str, Any]], dict[str, Any]]"


class NoSuchMailError(Exception):
    """No mail of this number can be sent or dropped now."""


def outbox_handlers(store: Store, monitor: Monitor) -> dict[str, Handler]:
    """Return the request handlers of the outbox; each change is sent at once."""
    from gpuwatch_tray.ipc import RequestRefusedError

    def handler(operation: OutboxOperation) -> Handler:
        def handle(request: dict[str, Any]) -> dict[str, Any]:
            try:
                answer = operation(store, request)
            except NoSuchMailError as error:
                raise RequestRefusedError(str(error)) from error
            monitor.send_mails_now()
            return answer

        return handle

    return {do: handler(operation) for do, operation in OUTBOX_OPERATIONS.items()}


def _queue_json(store: Store, _request: Mapping[str, Any]) -> dict[str, Any]:
    return {"mails": [_mail_json(mail) for mail in store.unsent_mails()]}


def _retry(store: Store, request: Mapping[str, Any]) -> dict[str, Any]:
    return _change_mails(store, request, lambda ids: store.resend_mails(ids, time.time()))


def _drop(store: Store, request: Mapping[str, Any]) -> dict[str, Any]:
    return _change_mails(store, request, lambda ids: store.drop_mails(ids, time.time()))


def _change_mails(
    store: Store, request: Mapping[str, Any], change: Callable[[list[int]], int]
) -> dict[str, Any]:
    known = [mail.id for mail in store.unsent_mails()]
    wanted = [int(number) for number in request["ids"]]
    unknown = [str(number) for number in wanted if number not in known]
    if unknown:
        raise NoSuchMailError(_("no mail {numbers} waits").format(numbers=", ".join(unknown)))
    count = change(wanted or known)
    if not count and wanted:
        raise NoSuchMailError(_("being sent at the moment, or waiting for a digest: try again in a minute"))
    return {"count": count}


OUTBOX_OPERATIONS: dict[str, OutboxOperation] = {
    "mail queue": _queue_json,
    "mail retry": _retry,
    "mail drop": _drop,
}


def _mail_json(mail: OutboxMail) -> dict[str, Any]:
    """Return a mail as `mail queue --json` prints it; times are in seconds since the epoch."""
    return {
        "id": mail.id,
        "state": mail.state,
        "kind": mail.message.kind.value,
        "subject": redact.visible(mail.message.subject),
        "message_id": mail.message.message_id,
        "created": mail.message.created,
        "attempts": mail.attempts,
        "next_at": mail.next_at if mail.state in {"queued", "blocked"} else None,
        "error": mail.error or None,
        "failure": mail.failure or None,
    }
