"""The store's one face: each method is one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.store import (
    attention,
    deliveries,
    incidents,
    inventory,
    marks,
    outbox,
    queued,
    watches,
)
from gpuwatch_tray.store.database import Database
from gpuwatch_tray.store.mailroom import Mailroom
from gpuwatch_tray.store.step import EvaluationInputs, SavedState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from gpuwatch_tray.alerts import Silence
    from gpuwatch_tray.model import Alert, Notice
    from gpuwatch_tray.store.attention import Attention
    from gpuwatch_tray.store.incidents import Transition
    from gpuwatch_tray.store.inventory import KnownGpu
    from gpuwatch_tray.store.step import Commit, Mail
    from gpuwatch_tray.watches import Reminder

KEPT_SECONDS = 30 * 86400.0  # seconds that sent mails and old deliveries are kept


def _no_boot_clock() -> tuple[float, str]:
    return 0.0, ""


class Store(Mailroom):
    """
    The state of one host in the folder `folder`.

    Safe to use from several threads. Every method raises StoreError when the disk or another process is
    in the way; nothing is then half done. `uptime` gives this boot's clock and name (model.Instant), for what
    is recorded as delivered.

    The `keeper` is the one process that evaluates on this state: it goes on in memory while the disk cannot
    be written, and says so in `trouble`. Every other one raises StoreError then.
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
        """Why the state is in memory only, in one line with the mend; None while it is on disk."""
        return self._database.trouble

    @property
    def renewed(self) -> int:
        """How often the file had to be begun anew: what is known must then be written again."""
        return self._database.renewed

    def close(self) -> None:
        """Close the file; what is in memory only is written to it, if that is possible by now."""
        self._database.close()

    # --- alerts -----------------------------------------------------------------------------------------

    def memory(self) -> SavedState:
        """What the last evaluation left."""

        def read(database: sqlite3.Connection) -> SavedState:
            found = incidents.read_open_incidents(database)
            return SavedState(
                alerts=tuple(alert for alert, owed in found if not owed),
                ended=tuple(alert for alert, owed in found if owed),
                raised=tuple(incidents.read_fired(database)),
                last=marks.read_instant(database),
                highest=incidents.highest_id(database),
                severities=tuple(incidents.read_severities(database)),
                loop=marks.read_instant(database, marks.LAST_LOOP_EVALUATION),
            )

        return self._database.read(read)

    def commit(self, commit: Commit) -> None:
        """Write what an evaluation came to, together with the mails about it."""

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
        """The last `limit` incidents that are over, newest first, and every transition on file."""
        return self._database.read(
            lambda database: (
                incidents.read_latest_incidents(database, limit),
                incidents.read_transitions(database),
            )
        )

    def note(self, transitions: Collection[Transition]) -> None:
        """Write down what happened to incidents."""
        self._database.write(lambda database: incidents.add_transitions(database, transitions))

    # --- attention --------------------------------------------------------------------------------------

    def evaluation_inputs(self) -> EvaluationInputs:
        """What others may have written since the last time."""

        def read(database: sqlite3.Connection) -> EvaluationInputs:
            # The queue is read first: a mail that is sent in between is then seen at least once.
            waiting = queued.queued_fingerprints(database)
            delivered = {each.value: deliveries.read_deliveries_on(database, each.value) for each in Channel}
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
        """What is acknowledged and snoozed."""
        return self._database.read(attention.read_attention)

    def acknowledge(self, ids: Collection[int], transitions: Collection[Transition], at: float) -> None:
        """Record that the person has seen these incidents."""

        def write(database: sqlite3.Connection) -> None:
            attention.add_acknowledgements(database, ids, at)
            incidents.add_transitions(database, transitions)

        self._database.write(write)

    def silence(self, silence: Silence, transitions: Collection[Transition] = ()) -> None:
        """Snooze."""

        def write(database: sqlite3.Connection) -> None:
            attention.add_silence(database, silence)
            incidents.add_transitions(database, transitions)

        self._database.write(write)

    def resume(self) -> int:
        """End every snooze; how many there were."""
        return self._database.write(attention.remove_all_silences)

    # --- what the person asked to be told once -----------------------------------------------------------

    def watches(self) -> tuple[Reminder, ...]:
        """What is waited for, oldest first."""
        return self._database.read(watches.read_reminders)

    def add_watch(self, watch: Reminder) -> int:
        """Wait for it; its number."""
        return self._database.write(lambda database: watches.add_reminder(database, watch))

    def come_about(self, number: int, notice: Notice) -> bool:
        """What a watch waits for has come about; False where it was told or cancelled already."""
        return self._database.write(lambda database: watches.set_reminder_notice(database, number, notice))

    def close_watch(self, number: int, mail: Mail | None = None) -> bool:
        """
        Wait no longer, as it was told or cancelled; False where nobody does.

        `mail` tells of it: it is queued in the same transaction, or not at all.
        """

        def write(database: sqlite3.Connection) -> bool:
            if not watches.remove_reminder(database, number):
                return False
            if mail is not None:
                outbox.insert_mail(database, mail.message, mail.fingerprints, held=mail.held)
            return True

        return self._database.write(write)

    def try_writing(self) -> None:
        """Write a little: only then does it show whether the disk takes it."""
        self._database.write(marks.write_probe)

    def greeted(self) -> bool:
        """Whether the person has been greeted: this is not the first start on this state."""
        return self._database.read(lambda database: marks.has_key(database, marks.GREETED))

    def greet(self) -> None:
        """The person has been greeted."""
        self._database.write(lambda database: marks.set_key(database, marks.GREETED))

    # --- what has been seen -----------------------------------------------------------------------------

    def gpus(self) -> tuple[KnownGpu, ...]:
        """The GPUs that this host has had."""
        return self._database.read(inventory.read_inventory)

    def forget_gpu(self, uuid: str) -> bool:
        """Take a GPU out of the inventory; False where it is not in it."""
        return self._database.write(lambda database: inventory.mark_gpu_forgotten(database, uuid))

    def sightings(self) -> dict[tuple[int, str], float]:
        """The processes that the command source has seen: (pid, digest of the command) to start time."""
        return self._database.read(marks.read_sightings)

    def save_sightings(self, sightings: Mapping[tuple[int, str], float]) -> None:
        """Remember `sightings` instead of those before."""
        self._database.write(lambda database: marks.write_sightings(database, sightings))
