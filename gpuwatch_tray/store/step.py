"""What an evaluation writes, and what the next one goes on from."""

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
    """A mail to be queued, with the alerts that it tells of; `held` for one over the cap."""

    message: Message
    fingerprints: tuple[str, ...]
    held: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """
    What one evaluation writes, all of it or nothing.

    `loop`: it was a loop that looked, not a single run.
    `alerts` are those that are not over, `ended` those that are and whose end is still to be told, `silent`
    those that are over and need no telling (any more), `dropped` (by number) those that never fired. `voided`
    are acknowledgements (by number), `lifted` snoozes that ran out, `merged` the outbox rows that a digest
    takes up, `gpus` what is new in the inventory. `watches` are those that have come on, `told` (by number)
    those that one of the mails tells of.
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
    watches: tuple[Reminder, ...] = ()
    told: tuple[int, ...] = ()

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
                self.watches,
                self.told,
            )
        )


@dataclass(frozen=True, slots=True)
class EvaluationInputs:
    """
    What others may have written since: the person, the courier, another process.

    `delivered` has for each channel when which fingerprint was last told, `queued` whose mail is on its way,
    and since when. `given_up` is when the last mail about a fingerprint was closed without being sent.
    """

    attention: Attention
    gpus: tuple[KnownGpu, ...]
    delivered: dict[str, dict[str, Instant]]
    queued: dict[str, float]
    given_up: dict[str, float]


@dataclass(frozen=True, slots=True)
class SavedState:
    """
    What an evaluator goes on from: see `Step`.

    `raised` tells when which fingerprint began to fire, `severities` how bad it was, oldest first. `last` is
    when the last evaluation was, `loop` the last one of a loop.
    """

    alerts: tuple[Alert, ...]
    ended: tuple[Alert, ...]
    raised: tuple[tuple[str, Instant], ...]
    last: Instant | None
    highest: int
    severities: tuple[tuple[str, Severity], ...] = ()
    loop: Instant | None = None
