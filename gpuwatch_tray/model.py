"""
The values that flow through the house, all frozen.

A field that may be missing is a `Field`: a value, or a `Missing` that says in which of three ways it is
missing. Nothing downstream may turn a `Missing` into a 0, an empty list or a green icon.

Units: memory in bytes, temperature in degrees C, power in W, utilisation and fan in %, time in seconds
(wall time since the epoch unless a name says otherwise).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Instant:
    """
    One moment on two clocks: `wall` is seconds since the epoch, `uptime` seconds since the boot `boot`.

    `uptime` counts suspends and nobody sets it; `boot` is empty where the boot cannot be told.
    """

    wall: float
    uptime: float = 0.0
    boot: str = ""

    def since(self, earlier: Instant) -> float:
        """
        Seconds from `earlier` until here: by the uptime within one boot, else by the wall clock.

        Negative where the wall clock was set back over a boot: nobody knows then how long it was.
        """
        if self.boot and self.boot == earlier.boot:
            return self.uptime - earlier.uptime
        return self.wall - earlier.wall


class Why(Enum):
    """In which way a value is missing."""

    UNSUPPORTED = "unsupported"  # this device, driver or platform never gives it
    ERROR = "error"  # it could not be read this time
    UNKNOWN = "unknown"  # this source was never told it


@dataclass(frozen=True, slots=True)
class Missing:
    """The absence of a value, with its kind and, for errors, the cause in a few words."""

    why: Why
    detail: str = ""


UNSUPPORTED = Missing(Why.UNSUPPORTED)
UNKNOWN = Missing(Why.UNKNOWN)

Field: TypeAlias = T | Missing


def known(value: Field[T]) -> T | None:
    """The value, or None where it is missing: for display, never for a decision."""
    return None if isinstance(value, Missing) else value


class Kind(Enum):
    """How a process uses a GPU, with the letters of nvidia-smi's Type column."""

    COMPUTE = "C"
    GRAPHICS = "G"
    MPS = "M"


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """
    One process on one GPU: a process on two GPUs is two of these.

    `identity` is stable for the life of a process and differs after PID reuse (the start time on a clock
    that nobody sets); it is empty where the start is unknown. `elapsed` follows the same clock.
    """

    pid: int
    gpu: int | None  # the GPU's index; None where the source could not tell (`GPU=?`)
    kinds: frozenset[Kind]
    memory: Field[int] = UNKNOWN
    user: Field[str] = UNKNOWN
    mine: bool | None = None  # None: the owner cannot be told
    started: Field[float] = UNKNOWN
    elapsed: Field[float] = UNKNOWN
    identity: str = ""
    cwd: Field[str] = UNKNOWN
    command: Field[tuple[str, ...]] = UNKNOWN
    name: Field[str] = UNKNOWN  # the program's file name, without folders

    @property
    def computes(self) -> bool:
        """Whether it holds a compute context, as nvidia-smi's compute list has it: C, C+G or MPS."""
        return Kind.COMPUTE in self.kinds or Kind.MPS in self.kinds


@dataclass(frozen=True, slots=True)
class Gpu:
    """
    One GPU at one moment.

    `problem` is set when the GPU as a whole cannot be read (lost, off the bus): its fields are then
    Missing. `process_problem` is set when its list of compute or MPS processes could not be read: the
    processes known of it are then not all there are.
    """

    index: int
    uuid: str
    name: Field[str] = UNKNOWN
    memory_used: Field[int] = UNKNOWN
    memory_total: Field[int] = UNKNOWN
    utilisation: Field[int] = UNKNOWN
    temperature: Field[int] = UNKNOWN
    power: Field[float] = UNKNOWN
    power_limit: Field[float] = UNKNOWN
    fan: Field[int] = UNKNOWN
    problem: str | None = None
    process_problem: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a source could not be read at all: one clear line, and what mends it."""

    text: str
    mend: str = ""
    no_driver: bool = False  # no NVIDIA driver on this machine (as opposed to one that fails)

    def __str__(self) -> str:
        return f"{self.text} ({self.mend})" if self.mend else self.text


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    What one reading of a source found.

    With a `problem` set, `gpus` and `processes` say nothing: neither "no GPUs" nor "no processes".
    `boot_id` names the boot of the machine whose processes these are; empty where it is not known.
    """

    source: str
    at: float
    gpus: tuple[Gpu, ...] = ()
    processes: tuple[GpuProcess, ...] = ()
    problem: Problem | None = None
    boot_id: str = ""
    simulated: bool = False


LABEL = "SIMULATED GPUs"  # what the faces say that have room for a line of their own


def labelled(text: str, *, simulated: bool) -> str:
    """`text`, marked where it tells of GPUs that are not there."""
    return f"SIMULATED · {text}" if simulated else text


class EmailWhen(Enum):
    """When an alert is mailed (EMAIL_WHEN)."""

    AWAY = "away"  # nobody at the desk, nobody reacting to the popup, or no popup to react to
    ALWAYS = "always"
    NEVER = "never"


class IconStyle(Enum):
    """How the icon is drawn (ICON_STYLE)."""

    AUTO = "auto"
    LIGHT = "light"  # for a light panel
    DARK = "dark"  # for a dark panel
    COLOR = "color"


class Severity(IntEnum):
    """How urgent an alert is."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3


class Scope(Enum):
    """Whose processes the rules judge (PROCESS_SCOPE)."""

    MINE = "mine"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds of the rules, already in base units."""

    gpu_limit: int = 2
    max_etime: int = 360 * 60  # seconds
    scope: Scope = Scope.MINE
    ignore: frozenset[str] = frozenset()  # program names, lower case


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One condition that a rule found to hold.

    `subject` tells this one from others of its rule and holds no value, no threshold and no elapsed time.
    `value` is for picking the worst of several. `reason` is the mail's wording (the Bash tool's for its two
    rules), `text` the sentence that people read on the desktop; empty for the reason itself.
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
    What one rule says of one snapshot.

    A subject that is not among `findings` is clear, save where `unknown` gives a reason: then nothing may
    be concluded about it. `unknown_subjects` limits that to subjects with one of these prefixes.
    """

    rule: str
    findings: tuple[Finding, ...] = ()
    unknown: str | None = None
    unknown_subjects: tuple[str, ...] = ("",)

    def cannot_tell(self, subject: str) -> bool:
        """Whether this verdict leaves the condition of `subject` open."""
        return self.unknown is not None and subject.startswith(self.unknown_subjects)


class Phase(Enum):
    """Where the condition of an alert stands."""

    PENDING = "pending"  # it holds, but not yet for long enough
    FIRING = "firing"
    RECOVERING = "recovering"  # it is over, but not yet for long enough
    RESOLVED = "resolved"


class Reason(Enum):
    """Why a notice is due, or why it is not: each decision carries one of these."""

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
    AT_THE_DESK = "at-the-desk"  # the person may see the popup; the mail waits for ESCALATE_MIN
    NEVER = "never"
    NO_CHANNEL = "no-channel"


@dataclass(frozen=True, slots=True)
class Alert:
    """
    A finding that has become an alert: one incident, from `since` (wall time) to its end.

    `held` is for how many seconds, and `samples` for how many polls, the present phase has lasted by the
    evaluator's own clock, gaps left out. `raises` counts how often this fingerprint began to fire within
    the last hour, this time included. `news` is what lets one notice pass the cooldown, and since when.
    `covered` says that a snooze held it at the last evaluation. The last three are what became of it for
    the person: derived anew by every evaluation.
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
    acknowledged: bool = False
    snoozed_until: float | None = None  # wall time
    inhibited_by: str = ""  # the rule of the alert that mutes this one

    @property
    def said(self) -> str:
        """The sentence for people."""
        return self.text or self.reason


class MessageKind(Enum):
    """What a mail is for."""

    ALERT = "alert"
    RESOLVED = "resolved"
    DIGEST = "digest"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Message:
    """A mail as the core writes it: no recipient, no transport."""

    subject: str
    text: str
    created: float
    message_id: str
    kind: MessageKind = MessageKind.ALERT


class Button(Enum):
    """What a popup offers to click on."""

    ACKNOWLEDGE = "acknowledge"
    SNOOZE = "snooze"  # for an hour
    SHOW = "show"
    KILL = "kill"  # a process that did not end by itself


@dataclass(frozen=True, slots=True)
class Popup:
    """
    One desktop popup. A popup with the same key replaces the one on the screen.

    `buttons` are shown where the desktop can, in this order.
    """

    key: str
    title: str
    body: str
    severity: Severity
    buttons: tuple[Button, ...] = ()


class Presence(Enum):
    """Whether the person is at the desk. UNKNOWN is never taken for PRESENT."""

    PRESENT = "present"
    AWAY = "away"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is known of the person: `source` names who says so; `idle` is seconds without input, if told."""

    presence: Presence
    source: str
    idle: float | None = None


class Level(IntEnum):
    """The state that the icon shows, worst last."""

    OK = 0
    SNOOZED = 1
    WARNING = 2
    CRITICAL = 3
    NO_DATA = 4


@dataclass(frozen=True, slots=True)
class Status:
    """
    What the tray shows. `headline` is the reason in one line; `notes` are further lines for the menu.

    `alerts` are those that fire or recover, worst first. `snoozed_until` is the wall time until which
    everything is snoozed. `in_use` is the number of GPUs in use that GPU_LIMIT counts; None where unknown.
    """

    level: Level
    headline: str
    at: float
    snapshot: Snapshot | None = None
    alerts: tuple[Alert, ...] = ()
    notes: tuple[str, ...] = field(default=())
    mail_possible: bool = False  # "Send test alert" has somewhere to mail to
    snoozed_until: float | None = None
    in_use: int | None = None
