"""The store's one face: each method is one transaction."""

from __future__ import annotations

import sqlite3  # noqa: TID251  # the store is the one importer
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpuwatch_tray.model import Alert, Message, Severity
from gpuwatch_tray.store import outbox
from gpuwatch_tray.store.schema import StoreError, connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from gpuwatch_tray.store.outbox import Queued, Waiting

KEEP = 30 * 86400.0  # seconds that sent mails and old deliveries are kept


class Store:
    """
    The state of one host in the folder `folder`.

    Safe to use from several threads. Every method raises StoreError when the disk or another process is
    in the way; nothing is then half done.
    """

    def __init__(self, folder: Path, host: str) -> None:
        self.path = folder / f"state-{host}.sqlite3"
        self._lock = threading.Lock()
        self._database = connect(self.path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def active(self) -> dict[str, Alert]:
        """The alerts that were firing at the last commit, by fingerprint."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT fingerprint, rule, subject, severity, reason, since, value FROM alerts ORDER BY since"
            ).fetchall()
        return {
            row[0]: Alert(row[0], row[1], row[2], Severity(row[3]), row[4], since=row[5], value=row[6])
            for row in rows
        }

    def delivered(self, channel: str) -> dict[str, float]:
        """When each fingerprint was last told on `channel`."""
        with self._reading() as database:
            rows = database.execute("SELECT fingerprint, at FROM deliveries WHERE channel = ?", (channel,))
            return dict(rows.fetchall())

    def queued(self) -> frozenset[str]:
        """The fingerprints whose mail is on its way."""
        with self._reading() as database:
            return outbox.queued_fingerprints(database)

    def commit(
        self, active: Mapping[str, Alert], now: float, mail: tuple[Message, Iterable[str]] | None = None
    ) -> None:
        """Write the firing alerts and, in the same transaction, a mail about some of them."""
        with self._writing() as database:
            database.execute("DELETE FROM alerts")
            database.executemany(
                "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (a.fingerprint, a.rule, a.subject, a.severity.value, a.reason, a.since, a.value)
                    for a in active.values()
                ],
            )
            if mail is not None:
                outbox.add(database, *mail)
            database.execute("DELETE FROM outbox WHERE state = 'sent' AND sent_at < ?", (now - KEEP,))
            database.execute(
                "DELETE FROM deliveries WHERE at < ? AND fingerprint NOT IN (SELECT fingerprint FROM alerts)",
                (now - KEEP,),
            )

    def record_delivery(self, fingerprints: Iterable[str], channel: str, now: float) -> None:
        """Start the cooldown of `fingerprints` on `channel`."""
        with self._writing() as database:
            outbox.record_delivery(database, fingerprints, channel, now)

    def lease_due(self, now: float, lease: float) -> tuple[Queued, ...]:
        """Take the mails that are due; for `lease` seconds no other process gets them."""
        with self._writing() as database:
            return outbox.lease(database, now, lease)

    def mark_sent(self, row_id: int, now: float, detail: str) -> None:
        """Close a mail that was accepted, and start the cooldowns of its alerts."""
        with self._writing() as database:
            outbox.sent(database, row_id, now, detail)

    def mark_retry(self, row_id: int, at: float, error: str, *, blocked: bool = False) -> None:
        """Keep a mail that was not accepted, to be sent at `at`."""
        with self._writing() as database:
            outbox.retry(database, row_id, at, error, blocked=blocked)

    def wake(self, now: float) -> None:
        """Make every waiting mail due now."""
        with self._writing() as database:
            outbox.wake(database, now)

    def waiting(self, now: float) -> Waiting:
        """What waits in the outbox."""
        with self._reading() as database:
            return outbox.waiting(database, now)

    def sightings(self) -> dict[tuple[int, str], float]:
        """The processes that the command source has seen: (pid, digest of the command) to start time."""
        with self._reading() as database:
            rows = database.execute("SELECT pid, command, started FROM sightings")
            return {(pid, command): started for pid, command, started in rows.fetchall()}

    def save_sightings(self, sightings: Mapping[tuple[int, str], float]) -> None:
        """Remember `sightings` instead of those before."""
        with self._writing() as database:
            database.execute("DELETE FROM sightings")
            rows = [(*key, started) for key, started in sightings.items()]
            database.executemany("INSERT INTO sightings VALUES (?, ?, ?)", rows)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as error:
                raise StoreError(f"{self.path}: the state cannot be read: {error}") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield self._database
                except BaseException:
                    self._database.execute("ROLLBACK")
                    raise
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                if self._database.in_transaction:  # a COMMIT that failed (disk full) leaves it open
                    self._database.execute("ROLLBACK")
                raise StoreError(f"{self.path}: the state cannot be written: {error}") from error
