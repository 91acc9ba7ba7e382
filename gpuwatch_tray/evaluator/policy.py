"""What evaluations go by, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import RoutingPolicy
from gpuwatch_tray.model import EmailWhen, Presence
from gpuwatch_tray.rules import Memory

if TYPE_CHECKING:
    from gpuwatch_tray.alerts import AlertChange, Decision
    from gpuwatch_tray.model import Alert, GpuProcess, Limits, Message, Popup, Snapshot, Status, Verdict


NOTHING = Memory()


@dataclass(frozen=True, slots=True)
class Policy:
    """
    What an evaluation goes by; times in seconds.

    `mails`: there is somebody to mail. `popups`: there is a desktop. `holds`: it is a loop, whose polls can
    tell for how long a condition holds; `gap` is the time between two evaluations from which on nothing is
    known of what lay between.
    """

    limits: Limits
    cooldown: float
    mails: bool
    popups: bool = False
    email_when: EmailWhen = EmailWhen.AWAY
    escalate: float = 600.0
    resolved_mail: bool = True
    resolved_popup: bool = False
    holds: bool = True
    gap: float = 15.0

    def ways(self, presence: Presence) -> RoutingPolicy:
        """The ways there are while the person is where they are."""
        return RoutingPolicy(self.cooldown, self.mails, self.popups, self.email_when, self.escalate, presence)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """
    What a snapshot means, before anything is written or told.

    `alerts` are those that are not over, with what the person has said about them; `gaps` is what kept a
    rule from judging; `decisions` stand for each alert and channel; `memory` is what the rules remember of
    all looks, this one included.
    """

    snapshot: Snapshot
    verdicts: tuple[Verdict, ...]
    gaps: tuple[str, ...]
    processes: tuple[GpuProcess, ...]
    alerts: dict[str, Alert]
    changes: tuple[AlertChange, ...]
    decisions: tuple[Decision, ...]
    snoozed_until: float | None = None
    memory: Memory = NOTHING
    voided: tuple[int, ...] = ()  # the acknowledgements that count no more, by number of the incident


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """
    What one evaluation came to.

    `popups` are to be shown, each with the alerts it tells of; `over` are the keys of popups to close;
    `gaps` is what kept a rule from judging; `notices` are to be shown as well, each with the watch that it
    tells of, 0 where a mail tells of it too; `trouble` is set when the state could not be written.
    """

    status: Status
    gaps: tuple[str, ...]
    changes: tuple[AlertChange, ...] = ()
    mails: tuple[Message, ...] = ()
    popups: tuple[tuple[Popup, tuple[str, ...]], ...] = ()
    over: tuple[str, ...] = ()
    notices: tuple[tuple[Popup, int], ...] = ()
    trouble: str | None = None
