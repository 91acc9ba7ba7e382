"""The store's one face: each method is one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import Channel, Scope
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Alert, Instant
from gpuwatch_tray.store import attention, backlog, incidents, inventory, marks, outbox, watches
from gpuwatch_tray.store.database import Database
from gpuwatch_tray.store.schema import StoreError
from gpuwatch_tray.store.step import Memory, Surroundings

if TYPE_CHECKING:
    import sqlite3  # noqa: TID251  # the store is the one importer
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from gpuwatch_tray.alerts import Silence
    from gpuwatch_tray.model import Notice
    from gpuwatch_tray.store.attention import Attention
    from gpuwatch_tray.store.backlog import Gather
    from gpuwatch_tray.store.incidents import Transition
    from gpuwatch_tray.store.inventory import KnownGpu
    from gpuwatch_tray.store.outbox import Queued, Rest, Waiting
    from gpuwatch_tray.store.step import Mail, Step
    from gpuwatch_tray.watches import Watch

KEEP = 30 * 86400.0  # seconds that sent mails and old deliveries are kept


def _by_wall_clock() -> tuple[float, str]:
    return 0.0, ""


class Store:
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
        uptime: Callable[[], tuple[float, str]] = _by_wall_clock,
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

    def memory(self) -> Memory:
        """What the last evaluation left."""

        def read(database: sqlite3.Connection) -> Memory:
            found = incidents.opened(database)
            return Memory(
                alerts=tuple(alert for alert, owed in found if not owed),
                ended=tuple(alert for alert, owed in found if owed),
                raised=tuple(incidents.fired(database)),
                last=marks.last(database),
                highest=incidents.highest(database),
                severities=tuple(incidents.severities(database)),
                loop=marks.last(database, marks.LOOP),
            )

        return self._database.read(read)

    def commit(self, step: Step) -> None:
        """Write what an evaluation came to, together with the mails about it."""

        def write(database: sqlite3.Connection) -> None:
            incidents.write(database, step.alerts)
            incidents.write(database, step.ended, owed=True)
            incidents.write(database, step.silent)
            incidents.drop(database, step.dropped)
            incidents.note(database, step.transitions)
            attention.void(database, step.voided)
            attention.lift(database, step.lifted)
            outbox.remove(database, step.merged)
            for mail in step.mails:
                outbox.add(database, mail.message, mail.fingerprints, held=mail.held)
            inventory.write(database, step.gpus)
            watches.update(database, step.watches)
            for number in step.told:
                watches.remove(database, number)
            marks.set_last(database, step.at)
            if step.loop:
                marks.set_last(database, step.at, marks.LOOP)
            incidents.prune(database)
            outbox.prune(database, step.at.wall - KEEP)

        self._database.write(write)

    def history(self, limit: int = incidents.KEEP) -> tuple[list[Alert], list[Transition]]:
        """The last `limit` incidents that are over, newest first, and every transition on file."""
        return self._database.read(
            lambda database: (incidents.latest(database, limit), incidents.transitions(database))
        )

    def note(self, transitions: Collection[Transition]) -> None:
        """Write down what happened to incidents."""
        self._database.write(lambda database: incidents.note(database, transitions))

    # --- attention --------------------------------------------------------------------------------------

    def surroundings(self) -> Surroundings:
        """What others may have written since the last time."""

        def read(database: sqlite3.Connection) -> Surroundings:
            # The queue is read first: a mail that is sent in between is then seen at least once.
            queued = outbox.queued_fingerprints(database)
            delivered = {each.value: outbox.deliveries(database, each.value) for each in Channel}
            return Surroundings(
                attention.read(database),
                inventory.read(database),
                delivered,
                queued,
                outbox.given_up(database),
            )

        return self._database.read(read)

    def attention(self) -> Attention:
        """What is acknowledged and snoozed."""
        return self._database.read(attention.read)

    def acknowledge(self, ids: Collection[int], transitions: Collection[Transition], at: float) -> None:
        """Record that the person has seen these incidents."""

        def write(database: sqlite3.Connection) -> None:
            attention.acknowledge(database, ids, at)
            incidents.note(database, transitions)

        self._database.write(write)

    def silence(self, silence: Silence, transitions: Collection[Transition] = ()) -> None:
        """Snooze."""

        def write(database: sqlite3.Connection) -> None:
            attention.silence(database, silence)
            incidents.note(database, transitions)

        self._database.write(write)

    def resume(self) -> int:
        """End every snooze; how many there were."""
        return self._database.write(attention.resume)

    # --- what the person asked to be told once -----------------------------------------------------------

    def watches(self) -> tuple[Watch, ...]:
        """What is waited for, oldest first."""
        return self._database.read(watches.read)

    def add_watch(self, watch: Watch) -> int:
        """Wait for it; its number."""
        return self._database.write(lambda database: watches.add(database, watch))

    def come_about(self, number: int, notice: Notice) -> bool:
        """What a watch waits for has come about; False where it was told or cancelled already."""
        return self._database.write(lambda database: watches.come_about(database, number, notice))

    def close_watch(self, number: int, mail: Mail | None = None) -> bool:
        """
        Wait no longer, as it was told or cancelled; False where nobody does.

        `mail` tells of it: it is queued in the same transaction, or not at all.
        """

        def write(database: sqlite3.Connection) -> bool:
            if not watches.remove(database, number):
                return False
            if mail is not None:
                outbox.add(database, mail.message, mail.fingerprints, held=mail.held)
            return True

        return self._database.write(write)

    # --- deliveries and the outbox ----------------------------------------------------------------------

    def delivered(self, channel: str) -> dict[str, Instant]:
        """When each fingerprint was last told on `channel`."""
        return self._database.read(lambda database: outbox.deliveries(database, channel))

    def record_delivery(
        self,
        fingerprints: Collection[str],
        channel: str,
        now: Instant,
        transitions: Collection[Transition] = (),
    ) -> None:
        """Start the cooldown of `fingerprints` on `channel`."""

        def write(database: sqlite3.Connection) -> None:
            outbox.record_delivery(database, fingerprints, channel, now)
            incidents.note(database, transitions)

        self._database.write(write)

    def queued_since(self, now: float, seconds: float) -> int:
        """How many mails were queued within the last `seconds`."""
        return self._database.read(lambda database: outbox.queued_since(database, now, seconds))

    def held(self) -> tuple[Queued, ...]:
        """The mails over the cap, oldest first."""
        return self._database.read(outbox.held)

    def lease_due(self, now: float, lease: float, gather: Gather | None = None) -> tuple[Queued, ...]:
        """
        Take the mails that are due; for `lease` seconds no other process gets them.

        With `gather`, a stale backlog is one mail, which that makes of it.
        """

        def write(database: sqlite3.Connection) -> tuple[Queued, ...]:
            if self._database.elsewhere:
                raise StoreError(
                    _(
                        "{path}: the process that watches has the mails in memory and sends them, as it"
                        " cannot write the file (make room on the disk)"
                    ).format(path=self.path)
                )
            silenced = self._silenced(database, Instant(now, *self._uptime()))
            return () if silenced is None else backlog.lease(database, now, lease, silenced, gather)

        return self._database.write(write)

    def _silenced(self, database: sqlite3.Connection, now: Instant) -> Callable[[str], bool] | None:
        """
        Whether a snooze holds the alert with this fingerprint: also what was queued before it began.

        None while everything is snoozed, and so every mail, whatever it tells of.
        """
        running = [each for each in attention.read(database).silences if each.left(now)]
        if any(each.scope is Scope.ALL for each in running):
            return None
        rules = incidents.rules(database) if running else {}
        return lambda name: any(each.names(rules.get(name, ""), name) for each in running)

    def mark_sent(self, row_id: int, now: float, detail: str, rest: Collection[Rest] = ()) -> None:
        """Close a mail that was accepted, start the cooldowns of its alerts, and keep the `rest` of it."""
        at = Instant(now, *self._uptime())

        def write(database: sqlite3.Connection) -> None:
            outbox.sent(database, row_id, at, detail)
            for each in rest:
                outbox.add_rest(database, each, now)

        self._database.write(write)

    def mark_retry(
        self, row_id: int, at: float, error: str, *, blocked: bool = False, failure: str = ""
    ) -> None:
        """Keep a mail that was not accepted, to be sent at `at`; `failure` is the class of the error."""
        self._database.write(
            lambda database: outbox.retry(database, row_id, at, error, blocked=blocked, failure=failure)
        )

    def mark_dead(self, row_id: int, at: float, error: str, *, failure: str = "") -> None:
        """Give up a mail that was refused for good: it stays, for a person to look at."""
        self._database.write(lambda database: outbox.die(database, row_id, at, error, failure))

    def queue(self) -> tuple[Queued, ...]:
        """Every mail that is neither sent nor dropped, oldest first."""
        return self._database.read(outbox.queue)

    def revive(self, ids: Collection[int], now: float) -> int:
        """Have these mails sent now, also what was given up; how many there are to send."""
        return self._database.write(lambda database: outbox.revive(database, ids, now))

    def drop(self, ids: Collection[int], now: float) -> int:
        """Never send these mails; how many there were."""
        return self._database.write(lambda database: outbox.drop(database, ids, now))

    def wake(self, now: float) -> None:
        """Make every waiting mail due now."""
        self._database.write(lambda database: outbox.wake(database, now))

    def try_writing(self) -> None:
        """Write a little: only then does it show whether the disk takes it."""
        self._database.write(marks.touch)

    def waiting(self, now: float) -> Waiting:
        """What waits in the outbox; while everything is snoozed, nothing of it is due at any time."""

        def read(database: sqlite3.Connection) -> Waiting:
            silenced = self._silenced(database, Instant(now, *self._uptime()))
            found = outbox.waiting(database, now, silenced or (lambda _: False))
            return found if silenced is not None else replace(found, next_at=None)

        return self._database.read(read)

    def greeted(self) -> bool:
        """Whether the person has been greeted: this is not the first start on this state."""
        return self._database.read(lambda database: marks.has(database, marks.GREETED))

    def greet(self) -> None:
        """The person has been greeted."""
        self._database.write(lambda database: marks.put(database, marks.GREETED))

    # --- what has been seen -----------------------------------------------------------------------------

    def gpus(self) -> tuple[KnownGpu, ...]:
        """The GPUs that this host has had."""
        return self._database.read(inventory.read)

    def forget_gpu(self, uuid: str) -> bool:
        """Take a GPU out of the inventory; False where it is not in it."""
        return self._database.write(lambda database: inventory.forget(database, uuid))

    def sightings(self) -> dict[tuple[int, str], float]:
        """The processes that the command source has seen: (pid, digest of the command) to start time."""
        return self._database.read(marks.sightings)

    def save_sightings(self, sightings: Mapping[tuple[int, str], float]) -> None:
        """Remember `sightings` instead of those before."""
        self._database.write(lambda database: marks.save_sightings(database, sightings))
