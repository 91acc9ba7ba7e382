"""
The state of one host: each method reads or writes it in one transaction.

Times are wall times, with the boot's own clock beside them where a span is measured.
"""

from __future__ import annotations

import threading
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.alerts import SilenceScope
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Instant
from gpuwatch_tray.model.units import DAY
from gpuwatch_tray.store import incidents, outbox, reminders_and_gpus
from gpuwatch_tray.store.database import Database, DatedReading
from gpuwatch_tray.store.outbox_lease import lease_mails
from gpuwatch_tray.store.tables import StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from gpuwatch_tray.alerts import Silence
    from gpuwatch_tray.alerts.reminder_types import Reminder
    from gpuwatch_tray.model import Alert, Message, Severity
    from gpuwatch_tray.store.incidents import Attention, Transition
    from gpuwatch_tray.store.outbox import OutboxMail, OutboxSummary, RemainingMail
    from gpuwatch_tray.store.outbox_lease import Gather
    from gpuwatch_tray.store.reminders_and_gpus import KnownGpu


class Mail(Struct, frozen=True):
    """
    A mail to be queued, with the fingerprints of its alerts; `held` when it is over the limit.

    With another `channel` it is a message to a chat.
    """

    message: Message
    fingerprints: tuple[str, ...]
    held: bool = False
    channel: str = outbox.EMAIL


class Commit(Struct, frozen=True):
    """
    What one evaluation writes, all of it or nothing; `in_loop` when a loop made it, not a single run.

    `alerts` are active; the end of `ended` ones is still to be told, of `ended_without_mail` not; `dropped`
    (by id) never fired. `voided` are acknowledgements (by id), `expired_silences` snoozes that ran out,
    `digested_rows` outbox rows that a digest takes up, `gpus` what is new in the inventory. `reminders` have
    changed; `closed_reminders` (by number) are told by one of the `mails`.
    """

    at: Instant
    in_loop: bool = True
    alerts: tuple[Alert, ...] = ()
    ended: tuple[Alert, ...] = ()
    ended_without_mail: tuple[Alert, ...] = ()
    dropped: tuple[int, ...] = ()
    voided: tuple[int, ...] = ()
    expired_silences: tuple[Silence, ...] = ()
    transitions: tuple[Transition, ...] = ()
    mails: tuple[Mail, ...] = ()
    digested_rows: tuple[int, ...] = ()
    gpus: tuple[KnownGpu, ...] = ()
    reminders: tuple[Reminder, ...] = ()
    closed_reminders: tuple[int, ...] = ()

    @property
    def worth_writing(self) -> bool:
        """Whether it holds more than alerts that are as they were."""
        return replace(self, alerts=(), ended=()) != Commit(self.at, self.in_loop)


class EvaluationInputs(Struct, frozen=True):
    """
    What others may have written since: the person, the mail process, another process.

    `delivered` has by channel when which fingerprint was last delivered; `queued` likewise when the mail on
    its way about one was written (wall time); `given_up` when the last mail about one was refused for good or
    dropped. `holding` are the channels on which mails over the limit wait for a digest.
    """

    attention: Attention
    gpus: tuple[KnownGpu, ...]
    delivered: dict[str, dict[str, Instant]]
    queued: outbox.FingerprintTimes
    given_up: outbox.FingerprintTimes
    reminders: tuple[Reminder, ...]
    holding: frozenset[str]


class SavedState(Struct, frozen=True):
    """
    What the engine goes on from after a restart: see `Commit`.

    `raised` tells when which fingerprint began to fire, `severities` how bad it was, oldest first; `last` is
    when the last evaluation was, `last_in_loop` the last one of a loop, `highest` the highest id given.
    """

    alerts: tuple[Alert, ...]
    ended: tuple[Alert, ...]
    raised: tuple[tuple[str, Instant], ...]
    last: Instant | None
    highest: int
    severities: tuple[tuple[str, Severity], ...] = ()
    last_in_loop: Instant | None = None


KEPT_SECONDS = 30 * DAY  # seconds that sent mails and old deliveries are kept


def read_saved_state(database: sqlite3.Connection) -> SavedState:
    """Return what the last evaluation left."""
    open_incidents = incidents.read_open_incidents(database)
    fired = incidents.read_fired(database)
    return SavedState(
        alerts=tuple(alert for alert, owed in open_incidents if not owed),
        ended=tuple(alert for alert, owed in open_incidents if owed),
        raised=tuple((name, at) for name, at, _severity in fired),
        last=reminders_and_gpus.read_instant(database),
        highest=incidents.highest_id(database),
        severities=tuple((name, severity) for name, _at, severity in fired),
        last_in_loop=reminders_and_gpus.read_instant(database, reminders_and_gpus.LAST_LOOP_EVALUATION),
    )


def write_commit(database: sqlite3.Connection, commit: Commit) -> None:
    """Write the results of an evaluation together with its mails."""
    incidents.write_incidents(database, commit.alerts)
    incidents.write_incidents(database, commit.ended, owed=True)
    incidents.write_incidents(database, commit.ended_without_mail)
    incidents.drop_incidents(database, commit.dropped)
    incidents.add_transitions(database, commit.transitions)
    incidents.remove_acknowledgements(database, commit.voided)
    incidents.remove_silences(database, commit.expired_silences)
    outbox.delete_held(database, commit.digested_rows)
    _queue(database, commit.mails)
    reminders_and_gpus.write_inventory(database, commit.gpus)
    reminders_and_gpus.update_reminders(database, commit.reminders)
    for number in commit.closed_reminders:
        reminders_and_gpus.remove_reminder(database, number)
    reminders_and_gpus.write_instant(database, commit.at)
    if commit.in_loop:
        reminders_and_gpus.write_instant(database, commit.at, reminders_and_gpus.LAST_LOOP_EVALUATION)
    incidents.prune_incidents(database)
    outbox.prune_outbox(database, commit.at.wall - KEPT_SECONDS)
    incidents.prune_deliveries(database, commit.at.wall - KEPT_SECONDS)


def read_evaluation_inputs(database: sqlite3.Connection) -> EvaluationInputs:
    """Return what the person, the mail sender or another process may have written meanwhile."""
    return EvaluationInputs(
        incidents.read_attention(database),
        reminders_and_gpus.read_inventory(database),
        incidents.read_deliveries(database),
        outbox.queued_fingerprints(database),
        outbox.given_up_fingerprints(database),
        reminders_and_gpus.read_reminders(database),
        outbox.read_holding(database),
    )


def remove_reminders(
    database: sqlite3.Connection, numbers: Iterable[int], mails: Sequence[Mail] = ()
) -> bool:
    """Delete reminders, and queue the mails about them; return False where all of them are gone."""
    removed = [number for number in numbers if reminders_and_gpus.remove_reminder(database, number)]
    if not removed:
        return False
    _queue(database, mails)
    return True


def _queue(database: sqlite3.Connection, mails: Iterable[Mail]) -> None:
    for mail in mails:
        outbox.insert_mail(database, mail.message, mail.fingerprints, held=mail.held, channel=mail.channel)


def read_history(
    database: sqlite3.Connection, limit: int = incidents.INCIDENTS_KEPT
) -> tuple[list[Alert], list[Transition]]:
    """Return the last `limit` incidents that are over, newest first, and all transitions."""
    return incidents.read_latest_incidents(database, limit), incidents.read_transitions(database)


def _no_boot_clock() -> tuple[float, str]:
    return 0.0, ""


P = ParamSpec("P")
T = TypeVar("T")


def _reading(
    function: Callable[Concatenate[sqlite3.Connection, P], T],
) -> Callable[Concatenate[Store, P], T]:
    """Make a method of the Store that calls `function` in one transaction that reads."""

    @wraps(function)
    def method(self: Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._database.read(lambda database: function(database, *args, **kwargs))

    return method


def _writing(
    function: Callable[Concatenate[sqlite3.Connection, P], T],
) -> Callable[Concatenate[Store, P], T]:
    """Make a method of the Store that calls `function` in one transaction that writes."""

    @wraps(function)
    def method(self: Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._database.write(lambda database: function(database, *args, **kwargs))

    return method


class Store:
    """
    The state of one host in the folder `folder`; safe to use from several threads.

    Every method raises StoreError when the disk or another process is in the way; nothing is half done then.
    The `keeper` is the one process that evaluates on this state: while the disk cannot be written, it goes on
    in the first `standby` place that can be (see common/session_folder.py), else in memory, and says so in
    `trouble`. `uptime` returns this boot's clock and name (see model.Instant).
    """

    def __init__(
        self,
        folder: Path,
        host: str,
        uptime: Callable[[], tuple[float, str]] = _no_boot_clock,
        *,
        keeper: bool = False,
        standby: Sequence[Path] = (),
    ) -> None:
        self.path = folder / f"state-{host}.sqlite3"
        self._uptime = uptime
        self._database = Database(self.path, keeper=keeper, places=standby)
        self._inputs: DatedReading[EvaluationInputs] | None = None
        self._inputs_lock = threading.Lock()

    @property
    def trouble(self) -> str | None:
        """Why the state is not in its file, in one line with the remedy; None while it is."""
        return self._database.trouble

    @property
    def is_forgotten(self) -> bool:
        """Whether what is done now, the mails sent included, is forgotten when this process ends."""
        return self._database.is_forgotten

    @property
    def renewed(self) -> int:
        """How often the file had to be started anew: what is known must then be written again."""
        return self._database.renewed

    def close(self) -> None:
        """Close the file, and write to it what is in memory only, if that is possible by now."""
        self._database.close()

    def evaluation_inputs(self) -> EvaluationInputs:
        """Return what others may have written, read anew where somebody has written anything."""
        with self._inputs_lock:
            self._inputs = self._database.read_again(read_evaluation_inputs, self._inputs)
            return self._inputs.content

    # Each of these is one function of a database, in a transaction of its own.
    saved_state = _reading(read_saved_state)
    commit = _writing(write_commit)
    history = _reading(read_history)
    add_transitions = _writing(incidents.add_transitions)

    attention = _reading(incidents.read_attention)
    acknowledge = _writing(incidents.add_acknowledgements)
    add_silence = _writing(incidents.add_silence)
    end_silences = _writing(incidents.remove_all_silences)

    reminders = _reading(reminders_and_gpus.read_reminders)
    add_reminder = _writing(reminders_and_gpus.add_reminder)
    complete_reminder = _writing(reminders_and_gpus.set_reminder_notice)
    close_reminders = _writing(remove_reminders)

    try_writing = _writing(reminders_and_gpus.write_probe)
    was_greeted = _reading(reminders_and_gpus.was_greeted)
    record_greeting = _writing(reminders_and_gpus.record_greeting)

    gpus = _reading(reminders_and_gpus.read_inventory)
    forget_gpu = _writing(reminders_and_gpus.mark_gpu_forgotten)
    sightings = _reading(reminders_and_gpus.read_sightings)
    save_sightings = _writing(reminders_and_gpus.write_sightings)

    delivered = _reading(incidents.read_deliveries_on)
    record_delivery = _writing(incidents.record_deliveries)
    queued_since = _reading(outbox.count_queued_since)
    held_mails = _reading(outbox.read_held)

    def lease_due(
        self, now: float, lease: float, gather: Gather | None = None, *, channel: str = outbox.EMAIL
    ) -> tuple[OutboxMail, ...]:
        """Lease the mails that are due for `lease` seconds; `gather` makes one of a stale backlog."""

        def write(database: sqlite3.Connection) -> tuple[OutboxMail, ...]:
            if self._database.mails_elsewhere:
                text = _(
                    "{path}: the watching process keeps the mails and sends them, because it cannot "
                    "write the file (free some disk space; `gpuwatch-tray status` says why)"
                )
                raise StoreError(text.format(path=self.path))
            silenced = self._silence_check(database, Instant(now, *self._uptime()))
            if silenced is None:
                return ()
            return lease_mails(database, now, lease, silenced, gather, channel)

        return self._database.write(write)

    def _silence_check(self, database: sqlite3.Connection, now: Instant) -> Callable[[str], bool] | None:
        """Return a test whether a snooze covers a fingerprint; None while everything is snoozed."""
        # Also what was queued before the snooze; while everything is snoozed, every mail waits.
        running = [silence for silence in incidents.read_attention(database).silences if silence.left(now)]
        if any(silence.scope is SilenceScope.ALL for silence in running):
            return None
        rules = incidents.read_rules(database) if running else {}
        return lambda fingerprint: any(
            silence.matches(rules.get(fingerprint, ""), fingerprint) for silence in running
        )

    def mark_sent(self, row_id: int, now: float, detail: str, rest: Collection[RemainingMail] = ()) -> None:
        """Close a mail that was accepted, start the cooldowns of its alerts, and queue the `rest` of it."""
        at = Instant(now, *self._uptime())

        def write(database: sqlite3.Connection) -> None:
            outbox.mark_sent(database, row_id, at, detail)
            for part in rest:
                outbox.insert_remaining(database, part, now)

        self._database.write(write)

    mark_retry = _writing(outbox.mark_retry)
    mark_dead = _writing(outbox.mark_dead)
    unsent_mails = _reading(outbox.read_queue)
    unsent = _reading(outbox.read_whole_queue)
    resend_mails = _writing(outbox.make_due)
    drop_mails = _writing(outbox.drop_mails)
    make_mails_due = _writing(outbox.make_all_due)

    def outbox_summary(self, now: float, channel: str = outbox.EMAIL) -> OutboxSummary:
        """Summarise what waits for the channel; while everything is snoozed, nothing of it is ever due."""

        def read(database: sqlite3.Connection) -> OutboxSummary:
            silenced = self._silence_check(database, Instant(now, *self._uptime()))
            summary = outbox.read_summary(database, now, silenced or (lambda _: False), channel)
            return summary if silenced is not None else replace(summary, next_at=None)

        return self._database.read(read)
