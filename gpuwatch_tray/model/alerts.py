"""Findings of the rules, their verdicts, the alerts that come of them, and moments on two clocks."""

from __future__ import annotations

from enum import Enum, IntEnum

from msgspec import Struct

PROCESS = "process-"  # what `Instant.boot` begins with where only a process's own clock can be had


class Instant(Struct, frozen=True):
    """One moment on two clocks: seconds since the epoch, and since a boot, which nobody sets."""

    wall: float
    uptime: float = 0.0  # seconds, suspends included
    boot: str = ""  # the boot's id; empty where unknown

    def since(self, earlier: Instant) -> float:
        """Return the seconds since `earlier`, over a boot by the wall clock: negative if set back."""
        if self.boot and self.boot == earlier.boot:
            return self.uptime - earlier.uptime
        return self.wall - earlier.wall

    def follows(self, other: Instant, now: Instant) -> bool:
        """Tell whether this was after `other`, seen from `now`; the present boot is after any other."""
        if self.boot != other.boot:
            if self.boot == now.boot and other.in_a_boot:
                return True
            if other.boot == now.boot and self.in_a_boot:
                return False
        return self.since(other) > 0

    @property
    def in_a_boot(self) -> bool:
        """Whether `boot` is the machine's, of which there is one at a time."""
        return bool(self.boot) and not self.boot.startswith(PROCESS)


class Severity(IntEnum):
    """How urgent an alert is."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3


class Finding(Struct, frozen=True):
    """One condition that a rule found to hold."""

    rule: str
    subject: str  # tells findings of one rule apart; holds no value, threshold or elapsed time
    severity: Severity
    reason: str  # the mail's wording, the Bash tool's for its two rules
    value: float = 0.0  # ranks several
    text: str = ""  # the sentence on the desktop; empty for the reason itself


class Verdict(Struct, frozen=True):
    """The answer of one rule about one snapshot: a subject that is not among `findings` is clear."""

    rule: str
    findings: tuple[Finding, ...] = ()
    unknown: str | None = None  # why nothing can be concluded, about the subjects with one of these prefixes
    unknown_subjects: tuple[str, ...] = ("",)
    band: frozenset[str] = frozenset()  # subjects between the threshold that raises and the one that clears
    value: str = ""  # what was measured, for people
    threshold: str = ""  # completes "it fires when ...", without the hold, which the Terms have
    cannot: tuple[str, ...] = ()  # a line for each GPU on which the rule can never fire
    per_gpu: tuple[str, ...] = ()  # a line for each GPU that has a limit of its own

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
    INFO_ONLY = "info-only"  # nothing that should wake anybody: sent with EMAIL_WHEN=always alone
    FILTERED = "filtered"  # this chat is for other alerts
    NEVER = "never"
    NO_CHANNEL = "no-channel"


class Alert(Struct, frozen=True):
    """
    A finding that has become an alert: one incident, from `since` (wall time) to its end.

    Every evaluation derives the last three fields anew. `owed_to` is for one that is over.
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
    phase_seconds: float = 0.0  # for how long the phase has lasted, by the engine's clock without gaps
    samples: int = 1  # and for how many polls
    fired: Instant | None = None
    raises: int = 0  # how often this fingerprint began to fire within the last hour
    news: tuple[Reason, Instant] | None = None  # what lets one notification pass the cooldown, since when
    covered: bool = False  # a snooze held it at the last evaluation
    resolved: Instant | None = None
    thread: tuple[str, float] | None = None  # Message-ID and wall time of the first mail about it
    owed_to: tuple[str, ...] = ()  # the channels on which its end is still to be told
    acknowledged: bool = False
    snoozed_until: float | None = None  # wall time
    inhibited_by: str = ""  # the rule of the alert that mutes this one

    @property
    def message(self) -> str:
        """The sentence for people."""
        return self.text or self.reason
