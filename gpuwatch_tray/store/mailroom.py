"""The store's face to those who mail: what was told, what waits, who may send it; a transaction each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import SilenceScope
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Instant
from gpuwatch_tray.store import attention, backlog, deliveries, incidents, outbox, queued
from gpuwatch_tray.store.schema import StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection
    from pathlib import Path

    from gpuwatch_tray.store.backlog import Gather
    from gpuwatch_tray.store.database import Database
    from gpuwatch_tray.store.incidents import Transition
    from gpuwatch_tray.store.outbox import Rest
    from gpuwatch_tray.store.queued import OutboxSummary, QueuedMail


class Mailroom:
    """What `Store` has for deliveries and the outbox; its words on threads and errors hold here too."""

    path: Path
    _uptime: Callable[[], tuple[float, str]]
    _database: Database

    def delivered(self, channel: str) -> dict[str, Instant]:
        """When each fingerprint was last told on `channel`."""
        return self._database.read(lambda database: deliveries.read_deliveries_on(database, channel))

    def record_delivery(
        self,
        fingerprints: Collection[str],
        channel: str,
        now: Instant,
        transitions: Collection[Transition] = (),
    ) -> None:
        """Start the cooldown of `fingerprints` on `channel`."""

        def write(database: sqlite3.Connection) -> None:
            deliveries.record_deliveries(database, fingerprints, channel, now)
            incidents.add_transitions(database, transitions)

        self._database.write(write)

    def queued_since(self, now: float, seconds: float) -> int:
        """How many mails were queued within the last `seconds`."""
        return self._database.read(lambda database: queued.count_queued_since(database, now, seconds))

    def held(self) -> tuple[QueuedMail, ...]:
        """The mails over the cap, oldest first."""
        return self._database.read(queued.read_held)

    def lease_due(self, now: float, lease: float, gather: Gather | None = None) -> tuple[QueuedMail, ...]:
        """
        Take the mails that are due; for `lease` seconds no other process gets them.

        With `gather`, a stale backlog is one mail, which that makes of it.
        """

        def write(database: sqlite3.Connection) -> tuple[QueuedMail, ...]:
            if self._database.elsewhere:
                raise StoreError(
                    _(
                        "{path}: the process that watches has the mails in memory and sends them, as it"
                        " cannot write the file (make room on the disk)"
                    ).format(path=self.path)
                )
            silenced = self._silenced(database, Instant(now, *self._uptime()))
            return () if silenced is None else backlog.lease_mails(database, now, lease, silenced, gather)

        return self._database.write(write)

    def _silenced(self, database: sqlite3.Connection, now: Instant) -> Callable[[str], bool] | None:
        """
        Whether a snooze holds the alert with this fingerprint: also what was queued before it began.

        None while everything is snoozed, and so every mail, whatever it tells of.
        """
        running = [each for each in attention.read_attention(database).silences if each.left(now)]
        if any(each.scope is SilenceScope.ALL for each in running):
            return None
        rules = incidents.read_rules(database) if running else {}
        return lambda name: any(each.names(rules.get(name, ""), name) for each in running)

    def mark_sent(self, row_id: int, now: float, detail: str, rest: Collection[Rest] = ()) -> None:
        """Close a mail that was accepted, start the cooldowns of its alerts, and keep the `rest` of it."""
        at = Instant(now, *self._uptime())

        def write(database: sqlite3.Connection) -> None:
            outbox.mark_sent(database, row_id, at, detail)
            for each in rest:
                outbox.insert_rest(database, each, now)

        self._database.write(write)

    def mark_retry(
        self, row_id: int, at: float, error: str, *, blocked: bool = False, failure: str = ""
    ) -> None:
        """Keep a mail that was not accepted, to be sent at `at`; `failure` is the class of the error."""
        self._database.write(
            lambda database: outbox.mark_retry(database, row_id, at, error, blocked=blocked, failure=failure)
        )

    def mark_dead(self, row_id: int, at: float, error: str, *, failure: str = "") -> None:
        """Give up a mail that was refused for good: it stays, for a person to look at."""
        self._database.write(lambda database: outbox.mark_dead(database, row_id, at, error, failure))

    def queue(self) -> tuple[QueuedMail, ...]:
        """Every mail that is neither sent nor dropped, oldest first."""
        return self._database.read(queued.read_queue)

    def revive(self, ids: Collection[int], now: float) -> int:
        """Have these mails sent now, also what was given up; how many there are to send."""
        return self._database.write(lambda database: outbox.make_due(database, ids, now))

    def drop(self, ids: Collection[int], now: float) -> int:
        """Never send these mails; how many there were."""
        return self._database.write(lambda database: outbox.drop_mails(database, ids, now))

    def wake(self, now: float) -> None:
        """Make every waiting mail due now."""
        self._database.write(lambda database: outbox.make_all_due(database, now))

    def waiting(self, now: float) -> OutboxSummary:
        """What waits in the outbox; while everything is snoozed, nothing of it is due at any time."""

        def read(database: sqlite3.Connection) -> OutboxSummary:
            silenced = self._silenced(database, Instant(now, *self._uptime()))
            found = queued.read_summary(database, now, silenced or (lambda _: False))
            return found if silenced is not None else replace(found, next_at=None)

        return self._database.read(read)
