"""
The outbox of the child process that sends mails: JSON lines through two pipes.

So mails are sent also while the outbox is in the memory of another process, as on a full disk.
"""

from __future__ import annotations

import json
import logging
from typing import IO, TYPE_CHECKING, Any

from gpuwatch_tray.model import Message, MessageKind
from gpuwatch_tray.store import outbox
from gpuwatch_tray.store.outbox import OutboxMail, RemainingMail

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpuwatch_tray.store.store import Store


log = logging.getLogger(__name__)


def encode_mails(rows: Iterable[OutboxMail]) -> bytes:
    """Return what the child reads: a line for each mail."""
    lines = [json.dumps([row.id, _fields(row.message), row.attempts]) for row in rows]
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def record_answer(store: Store, line: bytes) -> None:
    """Record one answer of the child in `store`; ignore a line that is none. Raises StoreError."""
    try:
        answer: dict[str, Any] = json.loads(line)
        number, at, text, blocked = answer["mail"], answer["at"], answer["said"], answer.get("blocked")
    except (ValueError, TypeError, KeyError):
        log.warning("the mail delivery gave an answer that is none (%d bytes)", len(line))
        return
    failure = answer.get("failure", "")
    if answer.get("dead"):
        store.mark_dead(number, at, text, failure=failure)
    elif blocked is None:
        store.mark_sent(number, at, text, [_remaining_mail(part) for part in answer.get("rest", ())])
    else:
        store.mark_retry(number, at, text, blocked=blocked, failure=failure)


class PipedOutbox:
    """The outbox in the child: reads mails from one pipe and writes what became of them to another."""

    def __init__(self, mails: IO[bytes], answers: IO[bytes]) -> None:
        self._mails = mails
        self._answers = answers

    def lease_due(
        self,
        now: float,  # noqa: ARG002  # the parent has chosen and gathered
        lease: float,  # noqa: ARG002
        gather: object = None,  # noqa: ARG002
        *,
        channel: str = "",  # noqa: ARG002
    ) -> Sequence[OutboxMail]:
        """Return all mails of the pipe; skip a line that the end of the parent cut off."""
        return [_decode_mail(line) for line in self._mails if line.endswith(b"\n")]

    def mark_sent(self, row_id: int, now: float, detail: str, rest: Iterable[RemainingMail] = ()) -> None:
        """Answer that a mail was accepted, and return the rest of it."""
        left = [[_fields(part.message), part.at, part.error, part.failure] for part in rest]
        self._answer({"mail": row_id, "at": now, "said": detail, "rest": left})

    def mark_retry(
        self, row_id: int, at: float, error: str, *, blocked: bool = False, failure: str = ""
    ) -> None:
        """Answer that a mail was not accepted, and when it is due again."""
        self._answer({"mail": row_id, "at": at, "said": error, "blocked": blocked, "failure": failure})

    def mark_dead(self, row_id: int, at: float, error: str, *, failure: str = "") -> None:
        """Answer that a mail was refused for good."""
        self._answer({"mail": row_id, "at": at, "said": error, "dead": True, "failure": failure})

    def _answer(self, answer: dict[str, object]) -> None:
        try:
            self._answers.write(json.dumps(answer).encode("ascii") + b"\n")
            self._answers.flush()
        except OSError as error:
            # The parent, which remembers the other mails, is gone: send them all the same.
            log.warning("mail %s: who handed it over is gone: %s", answer["mail"], error)


def _decode_mail(line: bytes) -> OutboxMail:
    number, fields, attempts = json.loads(line)
    return OutboxMail(number, _message(*fields), attempts=attempts)


def _fields(mail: Message) -> list[object]:
    details = outbox.details_to_json(mail.details)
    return [mail.subject, mail.text, mail.created, mail.message_id, mail.kind.value, details]


def _message(subject: str, text: str, created: float, message_id: str, kind: str, details: str) -> Message:
    return Message(
        subject, text, created, message_id, MessageKind(kind), details=outbox.details_from_json(details)
    )


def _remaining_mail(left: Sequence[Any]) -> RemainingMail:
    fields, at, error, failure = left
    return RemainingMail(_message(*fields), at, error, failure)
