"""Findings of the rules, their verdicts, and the alerts that come of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuwatch_tray.model.clock import Instant


class Severity(IntEnum):
    """How urgent an alert is."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One condition that a rule found to hold.

    `subject` distinguishes findings of one rule; it holds no value, threshold or elapsed time. `value` ranks
    several. `reason` is the mail's wording (the Bash tool's for its two rules), `text` the sentence on the
    desktop; empty for the reason itself.
    """

    rule: str
    subject: str
    severity: Severity
    reason: str
    value: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    The answer of one rule about one snapshot.

    A subject that is not among `findings` is clear, unless `unknown` gives a reason to conclude nothing;
    `unknown_subjects` limits that to subjects with one of these prefixes. `band` are the subjects between the
    threshold that raises and the one that clears. For people, `value` is what was measured, and `threshold`
    completes "it fires when ..." (without the hold, which the rule's Terms have);
    `per_gpu` has a line for each GPU that has a limit of its own, `cannot` one for each on which the rule can
    never fire.
    """

    rule: str
    findings: tuple[Finding, ...] = ()
    unknown: str | None = None
    unknown_subjects: tuple[str, ...] = ("",)
    band: frozenset[str] = frozenset()
    value: str = ""
    threshold: str = ""
    cannot: tuple[str, ...] = ()
    per_gpu: tuple[str, ...] = ()

    def cannot_tell(self, subject: str) -> bool:
        """Tell whether this verdict leaves the condition of `subject` open."""
        return self.unknown is not None and subject.startswith(self.unknown_subjects)


class Phase(Enum):
    """The state of an alert's condition."""

    PENDING = "pending"  # it holds, but not yet for long enough
    FIRING = "firing"
    RECOVERING = "recovering"  # it is over, but not yet for long enough
    RESOLVED = "resolved"


FLAPPING = 4  # raises within an hour from which on an alert flaps


class Reason(Enum):
    """Why a notification is due, or why it is not: each decision carries one of these."""

    FIRST = "first"
    SEVERITY_RISE = "severity-rise"
    COOLDOWN_OVER = "cooldown-over"
    SNOOZE_OVER = "snooze-over"
    FLAPPING = "flapping"
    # why the mail need not wait for the person at the desk
    AWAY = "away"
    CRITICAL = "critical"
    UNACKNOWLEDGED = "unacknowledged"
    NO_POPUP = "no-popup"
    ALWAYS = "always"
    # why nothing is sent now
    PENDING = "pending"
    RECOVERING = "recovering"
    SNOOZED = "snoozed"
    INHIBITED = "inhibited"
    ACKNOWLEDGED = "acknowledged"
    COOLDOWN = "cooldown"
    QUEUED = "queued"
    GIVEN_UP = "given-up"  # its last mail was refused for good, or dropped
    AT_THE_DESK = "at-the-desk"  # the person may see the popup; the mail waits for ESCALATE_MIN
    INFO_ONLY = "info-only"  # nothing that should wake anybody: mailed with EMAIL_WHEN=always alone
    NEVER = "never"
    NO_CHANNEL = "no-channel"


@dataclass(frozen=True, slots=True)
class Alert:
    """
    A finding that has become an alert: one incident, from `since` (wall time) to its end.

    The present phase has lasted for `held` seconds and `samples` polls by the engine's own clock, without
    gaps. `raises` counts how often this fingerprint began to fire within the last hour, this time included.
    `news` is what lets one notification pass the cooldown, and since when. `covered`: a snooze held it at the
    last evaluation. `thread` is the first mail about it: its Message-ID and the wall time of its writing.
    Every evaluation derives the last three anew.
    """

    fingerprint: str
    rule: str
    subject: str
    severity: Severity
    reason: str
    since: float
    value: float = 0.0
    text: str = ""
    id: int = 0  # how `alerts ack ID` names it
    phase: Phase = Phase.FIRING
    held: float = 0.0
    samples: int = 1
    fired: Instant | None = None
    raises: int = 0
    news: tuple[Reason, Instant] | None = None
    covered: bool = False
    resolved: Instant | None = None
    thread: tuple[str, float] | None = None
    acknowledged: bool = False
    snoozed_until: float | None = None  # wall time
    inhibited_by: str = ""  # the rule of the alert that mutes this one

    @property
    def message(self) -> str:
        """The sentence for people."""
        return self.text or self.reason
