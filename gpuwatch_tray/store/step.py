"""What one evaluation reads from the store, and what it writes there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuwatch_tray.alerts import Silence
    from gpuwatch_tray.model import Alert, Instant, Message, Severity
    from gpuwatch_tray.store.attention import Attention
    from gpuwatch_tray.store.incidents import Transition
    from gpuwatch_tray.store.inventory import KnownGpu
    from gpuwatch_tray.watches import Reminder


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
