"""
The state of one host: each method reads or writes it in one transaction.

Any number of processes may hold the file open. Times are wall times, with the boot's own clock beside them
where a span is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import Channel, SilenceScope
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Instant
from gpuwatch_tray.store import incidents, misc, outbox
from gpuwatch_tray.store.database import Database
from gpuwatch_tray.store.tables import StoreError
from gpuwatch_tray.units import DAY

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from gpuwatch_tray.alerts import Silence
    from gpuwatch_tray.alerts.reminder_types import Reminder
    from gpuwatch_tray.model import Alert, Message, ReminderNotice, Severity
    from gpuwatch_tray.store.incidents import Attention, Transition
    from gpuwatch_tray.store.misc import KnownGpu
    from gpuwatch_tray.store.outbox import Gather, OutboxMail, OutboxSummary, Rest


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to be queued, with the fingerprints of its alerts; `held` when it is over the limit."""

    message: Message
    fingerprints: tuple[str, ...]
    held: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """
    What one evaluation writes, all of it or nothing; `loop` when a loop made it, not a single run.

    `alerts` are active; `ended` are those whose end is still to be mailed; `silent` those that have ended and
    need no mail (any more); `dropped` (by id) those that never fired. `voided` are acknowledgements (by id),
    `lifted` snoozes that ran out, `merged` the outbox rows that a digest takes up, `gpus` what is new in
    the inventory. `reminders` have changed; `closed_reminders` (by number) are told by one of the `mails`.
    """

    at: Instant
    loop: bool = True
    alerts: tuple[Alert, ...] = ()
    ended: tuple[Alert, ...] = ()
    silent: tuple[Alert, ...] = ()
    dropped: tuple[int, ...] = ()
    voided: tuple[int, ...] = ()
    lifted: tuple[Silence, ...] = ()
    transitions: tuple[Transition, ...] = ()
    mails: tuple[Mail, ...] = ()
    merged: tuple[int, ...] = ()
    gpus: tuple[KnownGpu, ...] = ()
    reminders: tuple[Reminder, ...] = ()
    closed_reminders: tuple[int, ...] = ()

    @property
    def worth_writing(self) -> bool:
        """Whether it holds more than alerts that are as they were."""
        return any(
            (
                self.silent,
                self.dropped,
                self.voided,
                self.lifted,
                self.transitions,
                self.mails,
                self.merged,
                self.gpus,
                self.reminders,
                self.closed_reminders,
            )
        )


@dataclass(frozen=True, slots=True)
class EvaluationInputs:
    """
    What others may have written since: the person, the mail process, another process.

    `delivered` has for each channel when which fingerprint was last delivered; `queued` when the mail was
    written that is on its way about a fingerprint (wall time); `given_up` when the last mail about one was
    refused for good or dropped; `reminders` are all on file, oldest first.
    """

    attention: Attention
    gpus: tuple[KnownGpu, ...]
    delivered: dict[str, dict[str, Instant]]
    queued: dict[str, float]
    given_up: dict[str, float]
    reminders: tuple[Reminder, ...]


@dataclass(frozen=True, slots=True)
class SavedState:
    """
    What the engine goes on from after a restart: see `Commit`.

    `raised` tells when which fingerprint began to fire, `severities` how bad it was, oldest first; `last` is
    when the last evaluation was, `loop` when the last one of a loop was, `highest` the highest id given.
    """

    alerts: tuple[Alert, ...]
    ended: tuple[Alert, ...]
    raised: tuple[tuple[str, Instant], ...]
    last: Instant | None
    highest: int
    severities: tuple[tuple[str, Severity], ...] = ()
    loop: Instant | None = None


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
                last=misc.read_instant(database),
                highest=incidents.highest_id(database),
                severities=tuple(incidents.read_severities(database)),
                loop=misc.read_instant(database, misc.LAST_LOOP_EVALUATION),
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
            incidents.remove_acknowledgements(database, commit.voided)
            incidents.remove_silences(database, commit.lifted)
            outbox.delete_mails(database, commit.merged)
            for mail in commit.mails:
                outbox.insert_mail(database, mail.message, mail.fingerprints, held=mail.held)
            misc.write_inventory(database, commit.gpus)
            misc.update_reminders(database, commit.reminders)
            for number in commit.closed_reminders:
                misc.remove_reminder(database, number)
            misc.write_instant(database, commit.at)
            if commit.loop:
                misc.write_instant(database, commit.at, misc.LAST_LOOP_EVALUATION)
            incidents.prune_incidents(database)
            outbox.prune_outbox(database, commit.at.wall - KEPT_SECONDS)
            incidents.prune_deliveries(database, commit.at.wall - KEPT_SECONDS)

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
            waiting = outbox.queued_fingerprints(database)
            delivered = {
                channel.value: incidents.read_deliveries_on(database, channel.value) for channel in Channel
            }
            return EvaluationInputs(
                incidents.read_attention(database),
                misc.read_inventory(database),
                delivered,
                waiting,
                outbox.given_up_fingerprints(database),
                misc.read_reminders(database),
            )

        return self._database.read(read)

    def attention(self) -> Attention:
        """Return what is acknowledged and snoozed."""
        return self._database.read(incidents.read_attention)

    def acknowledge(self, ids: Collection[int], transitions: Collection[Transition], at: float) -> None:
        """Record that the person has seen these incidents."""

        def write(database: sqlite3.Connection) -> None:
            incidents.add_acknowledgements(database, ids, at)
            incidents.add_transitions(database, transitions)

        self._database.write(write)

    def add_silence(self, silence: Silence, transitions: Collection[Transition] = ()) -> None:
        """Record a snooze."""

        def write(database: sqlite3.Connection) -> None:
            incidents.add_silence(database, silence)
            incidents.add_transitions(database, transitions)

        self._database.write(write)

    def end_silences(self) -> int:
        """End every snooze; return how many there were."""
        return self._database.write(incidents.remove_all_silences)

    # --- reminders --------------------------------------------------------------------------------------

    def reminders(self) -> tuple[Reminder, ...]:
        """Return the reminders that wait, oldest first."""
        return self._database.read(misc.read_reminders)

    def add_reminder(self, watch: Reminder) -> int:
        """Store a reminder; return its number."""
        return self._database.write(lambda database: misc.add_reminder(database, watch))

    def complete_reminder(self, number: int, notice: ReminderNotice) -> bool:
        """Record that what a reminder waits for has happened; return False where it is gone."""
        return self._database.write(lambda database: misc.set_reminder_notice(database, number, notice))

    def close_reminder(self, number: int, mail: Mail | None = None) -> bool:
        """
        Delete a reminder that was delivered or cancelled; return False where it is gone.

        `mail` is the mail about it: queued in the same transaction, or not at all.
        """

        def write(database: sqlite3.Connection) -> bool:
            if not misc.remove_reminder(database, number):
                return False
            if mail is not None:
                outbox.insert_mail(database, mail.message, mail.fingerprints, held=mail.held)
            return True

        return self._database.write(write)

    def try_writing(self) -> None:
        """Write a little: only that shows whether the disk accepts it."""
        self._database.write(misc.write_probe)

    def was_greeted(self) -> bool:
        """Return whether the welcome was shown, so that this is not the first start on this state."""
        return self._database.read(lambda database: misc.has_key(database, misc.GREETED))

    def record_greeting(self) -> None:
        """Record that the welcome was shown."""
        self._database.write(lambda database: misc.set_key(database, misc.GREETED))

    # --- what has been seen -----------------------------------------------------------------------------

    def gpus(self) -> tuple[KnownGpu, ...]:
        """Return the GPUs that this host has had."""
        return self._database.read(misc.read_inventory)

    def forget_gpu(self, uuid: str) -> bool:
        """Stop missing a GPU; return False where it is not missed."""
        return self._database.write(lambda database: misc.mark_gpu_forgotten(database, uuid))

    def sightings(self) -> dict[tuple[int, str], float]:
        """Return when the processes started that the command source has seen, by (pid, command digest)."""
        return self._database.read(misc.read_sightings)

    def save_sightings(self, sightings: Mapping[tuple[int, str], float]) -> None:
        """Replace the processes that the command source has seen."""
        self._database.write(lambda database: misc.write_sightings(database, sightings))

    # --- deliveries and the outbox ----------------------------------------------------------------------

    def delivered(self, channel: str) -> dict[str, Instant]:
        """Return when each fingerprint was last notified on `channel`."""
        return self._database.read(lambda database: incidents.read_deliveries_on(database, channel))

    def record_delivery(
        self,
        fingerprints: Collection[str],
        channel: str,
        now: Instant,
        transitions: Collection[Transition] = (),
    ) -> None:
        """Start the cooldown of `fingerprints` on `channel`."""

        def write(database: sqlite3.Connection) -> None:
            incidents.record_deliveries(database, fingerprints, channel, now)
            incidents.add_transitions(database, transitions)

        self._database.write(write)

    def queued_since(self, now: float, seconds: float) -> int:
        """Count the mails that were queued within the last `seconds`."""
        return self._database.read(lambda database: outbox.count_queued_since(database, now, seconds))

    def held_mails(self) -> tuple[OutboxMail, ...]:
        """Return the mails over the hourly or daily limit, oldest first."""
        return self._database.read(outbox.read_held)

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
            return () if silenced is None else outbox.lease_mails(database, now, lease, silenced, gather)

        return self._database.write(write)

    def _silence_check(self, database: sqlite3.Connection, now: Instant) -> Callable[[str], bool] | None:
        """
        Return a test whether a snooze covers the alert with a fingerprint, also what was queued before it.

        Return None while everything is snoozed, and with it every mail, whatever it is about.
        """
        running = [silence for silence in incidents.read_attention(database).silences if silence.left(now)]
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
        return self._database.read(outbox.read_queue)

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
            summary = outbox.read_summary(database, now, silenced or (lambda _: False))
            return summary if silenced is not None else replace(summary, next_at=None)

        return self._database.read(read)
