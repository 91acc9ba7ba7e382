"""
The state of one host: each method reads or writes it in one transaction.

Any number of processes may hold the file open. Times are wall times, with the boot's own clock beside them
where a span is measured.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import Channel, SilenceScope
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Instant
from gpuwatch_tray.store import (
    attention,
    backlog,
    deliveries,
    incidents,
    inventory,
    marks,
    outbox,
    queued,
    watches,
)
from gpuwatch_tray.store.database import Database
from gpuwatch_tray.store.schema import StoreError
from gpuwatch_tray.store.step import EvaluationInputs, SavedState
from gpuwatch_tray.units import DAY

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from gpuwatch_tray.alerts import Silence
    from gpuwatch_tray.model import Alert, ReminderNotice
    from gpuwatch_tray.store.attention import Attention
    from gpuwatch_tray.store.backlog import Gather
    from gpuwatch_tray.store.incidents import Transition
    from gpuwatch_tray.store.inventory import KnownGpu
    from gpuwatch_tray.store.outbox import Rest
    from gpuwatch_tray.store.queued import OutboxMail, OutboxSummary
    from gpuwatch_tray.store.step import Commit, Mail
    from gpuwatch_tray.watches import Reminder

KEPT_SECONDS = 30 * DAY  # seconds that sent mails and old deliveries are kept


def _no_boot_clock() -> tuple[float, str]:
    return 0.0, ""


class Store:
    """
    The state of one host in the folder `folder`; safe to use from several threads.

    Every method raises StoreError when the disk or another process is in the way; nothing is half done then.
    `uptime` returns this boot's clock and name (see model.Instant), which deliveries are recorded with.

    The `keeper` is the one process that evaluates on this state: while the disk cannot be written, it goes on
    in memory and says so in `trouble`. Every other process raises StoreError then.
    """

    def __init__(
        self,
        folder: Path,
        host: str,
        uptime: Callable[[], tuple[float, str]] = _no_boot_clock,
        *,
        keeper: bool = False,
    ) -> None:
        self.path = folder / f"state-{host}.sqlite3"
        self._uptime = uptime
        self._database = Database(self.path, keeper=keeper)

    @property
    def trouble(self) -> str | None:
        """Why the state is in memory only, in one line with the remedy; None while it is on disk."""
        return self._database.trouble

    @property
    def renewed(self) -> int:
        """How often the file had to be started anew: what is known must then be written again."""
        return self._database.renewed

    def close(self) -> None:
        """Close the file, and write to it what is in memory only, if that is possible by now."""
        self._database.close()

    # --- alerts -----------------------------------------------------------------------------------------

    def saved_state(self) -> SavedState:
        """Return what the last evaluation left."""

        def read(database: sqlite3.Connection) -> SavedState:
            open_incidents = incidents.read_open_incidents(database)
            return SavedState(
                alerts=tuple(alert for alert, owed in open_incidents if not owed),
                ended=tuple(alert for alert, owed in open_incidents if owed),
                raised=tuple(incidents.read_fired(database)),
                last=marks.read_instant(database),
                highest=incidents.highest_id(database),
                severities=tuple(incidents.read_severities(database)),
                loop=marks.read_instant(database, marks.LAST_LOOP_EVALUATION),
            )

        return self._database.read(read)

    def commit(self, commit: Commit) -> None:
        """Write the results of an evaluation together with its mails."""

        def write(database: sqlite3.Connection) -> None:
            incidents.write_incidents(database, commit.alerts)
            incidents.write_incidents(database, commit.ended, owed=True)
            incidents.write_incidents(database, commit.silent)
            incidents.drop_incidents(database, commit.dropped)
            incidents.add_transitions(database, commit.transitions)
            attention.remove_acknowledgements(database, commit.voided)
            attention.remove_silences(database, commit.lifted)
            outbox.delete_mails(database, commit.merged)
            for mail in commit.mails:
                outbox.insert_mail(database, mail.message, mail.fingerprints, held=mail.held)
            inventory.write_inventory(database, commit.gpus)
            watches.update_reminders(database, commit.reminders)
            for number in commit.closed_reminders:
                watches.remove_reminder(database, number)
            marks.write_instant(database, commit.at)
            if commit.loop:
                marks.write_instant(database, commit.at, marks.LAST_LOOP_EVALUATION)
            incidents.prune_incidents(database)
            outbox.prune_outbox(database, commit.at.wall - KEPT_SECONDS)
            deliveries.prune_deliveries(database, commit.at.wall - KEPT_SECONDS)

        self._database.write(write)

    def history(self, limit: int = incidents.INCIDENTS_KEPT) -> tuple[list[Alert], list[Transition]]:
        """Return the last `limit` incidents that are over, newest first, and all transitions."""
        return self._database.read(
            lambda database: (
                incidents.read_latest_incidents(database, limit),
                incidents.read_transitions(database),
            )
        )

    def add_transitions(self, transitions: Collection[Transition]) -> None:
        """Record what happened to incidents."""
        self._database.write(lambda database: incidents.add_transitions(database, transitions))

    # --- attention --------------------------------------------------------------------------------------

    def evaluation_inputs(self) -> EvaluationInputs:
        """Return what the person, the mail sender or another process may have written meanwhile."""

        def read(database: sqlite3.Connection) -> EvaluationInputs:
            # The queue is read first: a mail that is sent in between is then seen at least once.
            waiting = queued.queued_fingerprints(database)
            delivered = {
                channel.value: deliveries.read_deliveries_on(database, channel.value) for channel in Channel
            }
            return EvaluationInputs(
                attention.read_attention(database),
                inventory.read_inventory(database),
                delivered,
                waiting,
                queued.given_up_fingerprints(database),
                watches.read_reminders(database),
            )

        return self._database.read(read)

    def attention(self) -> Attention:
        """Return what is acknowledged and snoozed."""
        return self._database.read(attention.read_attention)

    def acknowledge(self, ids: Collection[int], transitions: Collection[Transition], at: float) -> None:
        """Record that the person has seen these incidents."""

        def write(database: sqlite3.Connection) -> None:
            attention.add_acknowledgements(database, ids, at)
            incidents.add_transitions(database, transitions)

        self._database.write(write)

    def add_silence(self, silence: Silence, transitions: Collection[Transition] = ()) -> None:
        """Record a snooze."""

        def write(database: sqlite3.Connection) -> None:
            attention.add_silence(database, silence)
            incidents.add_transitions(database, transitions)

        self._database.write(write)

    def end_silences(self) -> int:
        """End every snooze; return how many there were."""
        return self._database.write(attention.remove_all_silences)

    # --- reminders --------------------------------------------------------------------------------------

    def reminders(self) -> tuple[Reminder, ...]:
        """Return the reminders that wait, oldest first."""
        return self._database.read(watches.read_reminders)

    def add_reminder(self, watch: Reminder) -> int:
        """Store a reminder; return its number."""
        return self._database.write(lambda database: watches.add_reminder(database, watch))

    def complete_reminder(self, number: int, notice: ReminderNotice) -> bool:
        """Record that what a reminder waits for has happened; return False where it is gone."""
        return self._database.write(lambda database: watches.set_reminder_notice(database, number, notice))

    def close_reminder(self, number: int, mail: Mail | None = None) -> bool:
        """
        Delete a reminder that was delivered or cancelled; return False where it is gone.

        `mail` is the mail about it: queued in the same transaction, or not at all.
        """

        def write(database: sqlite3.Connection) -> bool:
            if not watches.remove_reminder(database, number):
                return False
            if mail is not None:
                outbox.insert_mail(database, mail.message, mail.fingerprints, held=mail.held)
            return True

        return self._database.write(write)

    def try_writing(self) -> None:
        """Write a little: only that shows whether the disk accepts it."""
        self._database.write(marks.write_probe)

    def was_greeted(self) -> bool:
        """Return whether the welcome was shown, so that this is not the first start on this state."""
        return self._database.read(lambda database: marks.has_key(database, marks.GREETED))

    def record_greeting(self) -> None:
        """Record that the welcome was shown."""
        self._database.write(lambda database: marks.set_key(database, marks.GREETED))

    # --- what has been seen -----------------------------------------------------------------------------

    def gpus(self) -> tuple[KnownGpu, ...]:
        """Return the GPUs that this host has had."""
        return self._database.read(inventory.read_inventory)

    def forget_gpu(self, uuid: str) -> bool:
        """Stop missing a GPU; return False where it is not missed."""
        return self._database.write(lambda database: inventory.mark_gpu_forgotten(database, uuid))

    def sightings(self) -> dict[tuple[int, str], float]:
        """Return when the processes started that the command source has seen, by (pid, command digest)."""
        return self._database.read(marks.read_sightings)

    def save_sightings(self, sightings: Mapping[tuple[int, str], float]) -> None:
        """Replace the processes that the command source has seen."""
        self._database.write(lambda database: marks.write_sightings(database, sightings))

    # --- deliveries and the outbox ----------------------------------------------------------------------

    def delivered(self, channel: str) -> dict[str, Instant]:
        """Return when each fingerprint was last notified on `channel`."""
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
        """Count the mails that were queued within the last `seconds`."""
        return self._database.read(lambda database: queued.count_queued_since(database, now, seconds))

    def held_mails(self) -> tuple[OutboxMail, ...]:
        """Return the mails over the hourly or daily limit, oldest first."""
        return self._database.read(queued.read_held)

    def lease_due(self, now: float, lease: float, gather: Gather | None = None) -> tuple[OutboxMail, ...]:
        """
        Lease the mails that are due: for `lease` seconds no other process gets them.

        `gather` makes one digest out of a stale backlog.
        """

        def write(database: sqlite3.Connection) -> tuple[OutboxMail, ...]:
            if self._database.mails_elsewhere:
                raise StoreError(
                    _(
                        "{path}: the process that watches has the mails in memory and sends them, as it"
                        " cannot write the file (make room on the disk)"
                    ).format(path=self.path)
                )
            silenced = self._silence_check(database, Instant(now, *self._uptime()))
            return () if silenced is None else backlog.lease_mails(database, now, lease, silenced, gather)

        return self._database.write(write)

    def _silence_check(self, database: sqlite3.Connection, now: Instant) -> Callable[[str], bool] | None:
        """
        Return a test whether a snooze covers the alert with a fingerprint, also what was queued before it.

        Return None while everything is snoozed, and with it every mail, whatever it is about.
        """
        running = [silence for silence in attention.read_attention(database).silences if silence.left(now)]
        if any(silence.scope is SilenceScope.ALL for silence in running):
            return None
        rules = incidents.read_rules(database) if running else {}
        return lambda fingerprint: any(
            silence.matches(rules.get(fingerprint, ""), fingerprint) for silence in running
        )

    def mark_sent(self, row_id: int, now: float, detail: str, rest: Collection[Rest] = ()) -> None:
        """Close a mail that was accepted, start the cooldowns of its alerts, and queue the `rest` of it."""
        at = Instant(now, *self._uptime())

        def write(database: sqlite3.Connection) -> None:
            outbox.mark_sent(database, row_id, at, detail)
            for part in rest:
                outbox.insert_rest(database, part, now)

        self._database.write(write)

    def mark_retry(
        self, row_id: int, at: float, error: str, *, blocked: bool = False, failure: str = ""
    ) -> None:
        """Keep a mail that was not accepted, due again `at`; `failure` is the class of the error."""
        self._database.write(
            lambda database: outbox.mark_retry(database, row_id, at, error, blocked=blocked, failure=failure)
        )

    def mark_dead(self, row_id: int, at: float, error: str, *, failure: str = "") -> None:
        """Give up a mail that was refused for good; it stays for a person to look at."""
        self._database.write(lambda database: outbox.mark_dead(database, row_id, at, error, failure))

    def unsent_mails(self) -> tuple[OutboxMail, ...]:
        """Return every mail that is neither sent nor dropped, oldest first."""
        return self._database.read(queued.read_queue)

    def resend_mails(self, ids: Collection[int], now: float) -> int:
        """Make these mails due now, those given up too; return how many there are to send."""
        return self._database.write(lambda database: outbox.make_due(database, ids, now))

    def drop_mails(self, ids: Collection[int], now: float) -> int:
        """Never send these mails; return how many there were."""
        return self._database.write(lambda database: outbox.drop_mails(database, ids, now))

    def make_mails_due(self, now: float) -> None:
        """Make every waiting mail due now."""
        self._database.write(lambda database: outbox.make_all_due(database, now))

    def outbox_summary(self, now: float) -> OutboxSummary:
        """Summarise what waits in the outbox; while everything is snoozed, nothing of it is ever due."""

        def read(database: sqlite3.Connection) -> OutboxSummary:
            silenced = self._silence_check(database, Instant(now, *self._uptime()))
            summary = queued.read_summary(database, now, silenced or (lambda _: False))
            return summary if silenced is not None else replace(summary, next_at=None)

        return self._database.read(read)
