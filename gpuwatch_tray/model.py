"""
The values that flow through the house, all frozen.

A field that may be missing is a `Field`: a value, or a `Missing` that says in which of three ways it is
missing. Nothing downstream may turn a `Missing` into a 0, an empty list or a green icon.

Units: memory in bytes, temperature in degrees C, power in W, utilisation and fan in %, time in seconds
(wall time since the epoch unless a name says otherwise).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum, IntFlag
from typing import TypeAlias, TypeVar

T = TypeVar("T")
PROCESS = "process-"  # what `Instant.boot` begins with where only a process's own clock can be had


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

    def follows(self, other: Instant, now: Instant) -> bool:
        """Whether this was after `other`, seen from `now`: what was in this boot was after what was not."""
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


COMPUTING = frozenset({Kind.COMPUTE, Kind.MPS})


class ClockLimit(IntFlag):
    """What keeps the clocks down, with NVML's bits (nvml.h, nvmlClocksEventReason*)."""

    IDLE = 0x01
    APPLICATION = 0x02
    POWER_CAP = 0x04
    HW_SLOWDOWN = 0x08
    SYNC_BOOST = 0x10
    SW_THERMAL = 0x20
    HW_THERMAL = 0x40
    HW_POWER_BRAKE = 0x80
    DISPLAY = 0x100


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
    device: str = ""  # the UUID of the MIG device that it is on; `gpu` is then the physical GPU's index

    @property
    def computes(self) -> bool:
        """Whether it holds a compute context, as nvidia-smi's compute list has it: C, C+G or MPS."""
        return not self.kinds.isdisjoint(COMPUTING)  # two lookups by Enum take four times as long


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
    physical: str = ""  # of a MIG device, the UUID of the GPU that it is a part of; `index` is that GPU's
    asleep: bool = False  # suspended by the system, and left so: without processes, the rest not known
    slowdown_at: Field[int] = UNKNOWN  # degrees C from which on the hardware slows itself down
    limited_by: Field[ClockLimit] = UNKNOWN
    ecc_corrected: Field[int] = UNKNOWN  # errors since the driver was loaded
    ecc_uncorrected: Field[int] = UNKNOWN
    rows_pending: Field[bool] = UNKNOWN  # memory rows that will be remapped at the next reset
    rows_failed: Field[bool] = UNKNOWN  # memory rows that could not be remapped
    pcie_width: Field[int] = UNKNOWN  # lanes in use now
    pcie_width_most: Field[int] = UNKNOWN  # lanes that the GPU and its slot can use


@dataclass(frozen=True, slots=True)
class Xid:
    """An error that the driver reported of a GPU (UUID), with NVIDIA's number, at a wall time."""

    uuid: str
    code: int
    at: float


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a source could not be read at all: one clear line, and what mends it."""

    text: str
    mend: str = ""
    no_driver: bool = False  # no NVIDIA driver on this machine (as opposed to one that fails)
    mismatch: bool = False  # the driver was replaced while it runs: its library and the kernel's part differ

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
    events: tuple[Xid, ...] = ()  # since the reading before
    no_events: str = ""  # why this source tells of no events, where it does not


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


class Auto(Enum):
    """A threshold that each GPU's own limits give."""

    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class HeatLimits:
    """
    The thresholds about heat, clocks and fans. None switches a rule off.

    Temperatures are in degrees C. A `..._hold` is for how many seconds something must go on.
    """

    warn_at: int | Auto | None = Auto.AUTO
    warn_hold: float = 5 * 60.0
    critical_at: int | Auto | None = Auto.AUTO
    critical_hold: float = 60.0
    throttle_share: float | None = 0.5  # of the last minutes
    slowdown_hold: float | None = 60.0
    power_cap_hold: float | None = None
    fan_at: int | None = 70


@dataclass(frozen=True, slots=True)
class FaultLimits:
    """The thresholds about what is broken. None, and False, switch a rule off."""

    blind_hold: float | None = 60.0  # seconds
    lost: bool = True
    mismatch: bool = True
    xid_fatal: bool = True
    xid_app: bool = True
    ecc: bool = True
    ecc_corrected: int | None = 100  # errors in ten minutes; None counts the uncorrected ones alone
    row_remap: bool = True
    pcie_hold: float | None = 5 * 60.0  # seconds


@dataclass(frozen=True, slots=True)
class UseLimits:
    """The thresholds about how the GPUs are used. None, and False, switch a rule off."""

    hung_hold: float | None = 10 * 60.0  # seconds
    idle_hold: float | None = 30 * 60.0  # seconds
    idle_memory: int = 2 * 2**30  # bytes
    idle_below: int = 5  # % of utilisation from which on a GPU is busy
    memory_full: int | None = None  # %
    memory_full_hold: float = 10 * 60.0  # seconds
    intruder: bool = True


HEAT, FAULTS, USE = HeatLimits(), FaultLimits(), UseLimits()


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds of the rules, already in base units. None switches a rule off."""

    gpu_limit: int | None = 2
    max_etime: int | None = 360 * 60  # seconds
    scope: Scope = Scope.MINE
    ignore: frozenset[str] = frozenset()  # program names, lower case
    poll: float = 5.0  # seconds between two looks
    heat: HeatLimits = HEAT
    faults: FaultLimits = FAULTS
    use: UseLimits = USE


@dataclass(frozen=True, slots=True)
class Terms:
    """
    For how long a rule's condition must hold before it fires, and be over before it is resolved.

    `hold` and `clear` are seconds, `hold_samples` and `clear_samples` polls in a row; both must be met.
    `critical_after` is for how many seconds an alert may fire before it becomes critical.
    """

    hold: float = 0.0
    hold_samples: int = 1
    clear: float = 0.0
    clear_samples: int = 1
    critical_after: float | None = None

    @property
    def at_once(self) -> bool:
        """Whether one look is enough to fire."""
        return self.hold <= 0 and self.hold_samples <= 1


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
    be concluded about it. `unknown_subjects` limits that to subjects with one of these prefixes. `band` are
    the subjects between the threshold that raises and the one that clears. `value` and `threshold` say for
    people what was measured and what it was held against; `cannot` are lines about the GPUs on which the rule
    can never fire.
    """

    rule: str
    findings: tuple[Finding, ...] = ()
    unknown: str | None = None
    unknown_subjects: tuple[str, ...] = ("",)
    band: frozenset[str] = frozenset()
    value: str = ""
    threshold: str = ""
    cannot: tuple[str, ...] = ()

    def cannot_tell(self, subject: str) -> bool:
        """Whether this verdict leaves the condition of `subject` open."""
        return self.unknown is not None and subject.startswith(self.unknown_subjects)


class Phase(Enum):
    """Where the condition of an alert stands."""

    PENDING = "pending"  # it holds, but not yet for long enough
    FIRING = "firing"
    RECOVERING = "recovering"  # it is over, but not yet for long enough
    RESOLVED = "resolved"


FLAPPING = 4  # raises within an hour from which an alert is said to flap


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
    INFO_ONLY = "info-only"  # nothing that should wake anybody: mailed with EMAIL_WHEN=always alone
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
    NOTICE = "notice"  # what the person asked to be told, once
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


@dataclass(frozen=True, slots=True)
class Notice:
    """
    What a person asked to be told and has come about, at `at` (wall time).

    `title` is a few words for the subject, `text` the sentence; `details` are further lines, `output` the
    last lines of a command. All of it may be shown anywhere: secrets are out already.
    """

    title: str
    text: str
    at: float
    details: tuple[str, ...] = ()
    output: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Awaited:
    """
    Something that a person waits to be told, as it is shown.

    `target` is what its act's target was: the number of GPUs, or PID:IDENTITY of a process. `due` says that
    it has come about and is still to be told.
    """

    id: int
    target: str
    text: str
    due: bool = False


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
    `awaited` is what the person waits to be told.
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
    awaited: tuple[Awaited, ...] = ()
