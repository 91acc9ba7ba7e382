"""The values of an evaluation: the policy that it follows, what a reading means, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from msgspec import Struct, field

from gpuwatch_tray.model import EmailWhen, LabLimits

if TYPE_CHECKING:
    from gpuwatch_tray.alerts import AlertChange, Channel, Decision, RoutingPolicy
    from gpuwatch_tray.model import (
        Alert,
        GpuProcess,
        Instant,
        LabView,
        Limits,
        Message,
        Popup,
        Problem,
        Status,
        Verdict,
    )


class Reading(Protocol):
    """What every reading has, of one host or of a lab."""

    @property
    def at(self) -> float:
        """Wall time."""

    @property
    def problem(self) -> Problem | None:
        """Why nothing could be read at all."""

    @property
    def simulated(self) -> bool:
        """Whether nothing in it is real."""


R = TypeVar("R", bound=Reading)
H = TypeVar("H")  # what the rules about such readings remember


class Policy(Struct, frozen=True):
    """
    What an evaluation goes by: the rules' limits, and on which channels alerts and their ends are sent.

    `resolved_mail`, `resolved_popup` and `resolved_chat` say on which of them an end is told.

    `in_loop`: the engine runs in a loop, whose polls tell how long a condition holds. After `gap` seconds
    without an evaluation nothing is known.
    """

    limits: Limits
    routing: RoutingPolicy
    resolved_mail: bool = True
    resolved_popup: bool = False
    resolved_chat: bool = True
    in_loop: bool = True
    gap: float = 15.0
    lab: LabLimits = field(default_factory=LabLimits)

    def tells_end(self, channel: Channel) -> bool:
        """Return whether the end of an alert is written on this channel, where the alert itself has been."""
        if self.routing.when(channel) is EmailWhen.NEVER:
            return False
        return self.resolved_chat if channel.chat else self.resolved_mail and self.routing.mails


class ReadingPace(Struct, frozen=True):
    """When the GPUs were last read, and the seconds between that and the reading before (0: not known)."""

    at: Instant | None = None
    interval: float = 0.0


class Evaluation(Struct, Generic[R, H], frozen=True):
    """
    What a reading means, before anything is written or sent; `alerts` are active, by fingerprint.

    `gaps` name what kept a rule from judging; the acknowledgement of the `voided` incidents (by id) ends.
    """

    reading: R
    verdicts: tuple[Verdict, ...]
    gaps: tuple[str, ...]
    processes: tuple[GpuProcess, ...]
    alerts: dict[str, Alert]
    changes: tuple[AlertChange, ...]
    decisions: tuple[Decision, ...]
    snoozed_until: float | None
    rule_history: H
    pace: ReadingPace
    voided: tuple[int, ...]


class EvaluationResult(Struct, frozen=True):
    """
    What one evaluation came to, after its commit.

    `chats` are those that a message was queued for. `popups` are to be shown, each with the fingerprints of
    its alerts; `reminder_popups` with the numbers of the reminders, none where a mail was queued too;
    `closed_popups` (by key) are to be closed. `trouble` says why the state could not be written; `displaced`
    why it is written, but not to its file.
    `lab_view` is the view of a lab, completed by the hosts that are known.
    """

    status: Status
    gaps: tuple[str, ...]
    changes: tuple[AlertChange, ...] = ()
    mails: tuple[Message, ...] = ()
    chats: tuple[Channel, ...] = ()
    popups: tuple[tuple[Popup, tuple[str, ...]], ...] = ()
    closed_popups: tuple[str, ...] = ()
    reminder_popups: tuple[tuple[Popup, tuple[int, ...]], ...] = ()
    trouble: str | None = None
    displaced: str | None = None
    lab_view: LabView | None = None
