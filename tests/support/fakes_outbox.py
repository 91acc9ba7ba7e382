"""An outbox in memory, with leases, states and attempts as in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from gpuwatch_tray.model import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.store import RemainingMail


class OutboxRow(Struct, frozen=True):
    """A mail and its state; `state` is queued, blocked, sent or dead."""

    id: int
    message: Message
    attempts: int = 0
    next_at: float = 0.0
    error: str = ""
    failure: str = ""
    state: str = "queued"
    lease_until: float = 0.0
    detail: str = ""


class FakeOutbox(Struct):
    """The outbox port of the worker; `history` lists each mark in order."""

    rows: dict[int, OutboxRow] = field(default_factory=dict)
    history: list[tuple[str, int]] = field(default_factory=list)
    rest: list[RemainingMail] = field(default_factory=list)

    def add(self, subject: str = "mail", at: float = 0.0) -> int:
        """Queue a mail, due at `at`; returns its number."""
        number = len(self.rows) + 1
        message = Message(subject, "text", created=at, message_id=f"<{number}@test>")
        self.rows[number] = OutboxRow(number, message, next_at=at)
        return number

    def lease_due(
        self, now: float, lease: float, _gather: object = None, *, channel: str = "email"
    ) -> tuple[OutboxRow, ...]:
        """Lease what is due and not leased yet, oldest first."""
        waiting = (row for row in self.rows.values() if row.state not in {"sent", "dead"})
        due = [row for row in waiting if row.next_at <= now and row.lease_until <= now]
        for row in due:
            self.rows[row.id] = replace(row, lease_until=now + lease)
        return tuple(due)

    def mark_sent(self, row_id: int, now: float, detail: str, rest: Sequence[RemainingMail] = ()) -> None:
        """Mark it as sent."""
        self.rest += rest
        self.history.append(("sent", row_id))
        self.rows[row_id] = replace(self.rows[row_id], state="sent", lease_until=now, detail=detail, error="")

    def mark_retry(
        self, row_id: int, at: float, error: str, *, blocked: bool = False, failure: str = ""
    ) -> None:
        """Put it back."""
        self.history.append(("retry", row_id))
        row = self.rows[row_id]
        self.rows[row_id] = replace(
            row,
            state="blocked" if blocked else "queued",
            attempts=row.attempts + 1,
            next_at=at,
            error=error,
            failure=failure,
            lease_until=0.0,
        )

    def mark_dead(self, row_id: int, at: float, error: str, *, failure: str = "") -> None:
        """Give it up."""
        self.history.append(("dead", row_id))
        row = self.rows[row_id]
        self.rows[row_id] = replace(
            row, state="dead", next_at=at, error=error, failure=failure, lease_until=0.0
        )
