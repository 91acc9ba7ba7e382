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
    `value` is for picking the worst of several.
    """

    rule: str
    subject: str
    severity: Severity
    reason: str
    value: float = 0.0


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


@dataclass(frozen=True, slots=True)
class Alert:
    """A finding that has become an alert: one incident, from `since` to its end."""

    fingerprint: str
    rule: str
    subject: str
    severity: Severity
    reason: str
    since: float
    value: float = 0.0


class MessageKind(Enum):
    """What a mail is for."""

    ALERT = "alert"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Message:
    """A mail as the core writes it: no recipient, no transport."""

    subject: str
    text: str
    created: float
    message_id: str
    kind: MessageKind = MessageKind.ALERT


@dataclass(frozen=True, slots=True)
class Popup:
    """One desktop popup. A popup with the same key replaces the one on the screen."""

    key: str
    title: str
    body: str
    severity: Severity


class Level(IntEnum):
    """The state that the icon shows, worst last."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    NO_DATA = 3


@dataclass(frozen=True, slots=True)
class Status:
    """What the tray shows. `headline` is the reason in one line; `notes` are further lines for the menu."""

    level: Level
    headline: str
    at: float
    snapshot: Snapshot | None = None
    alerts: tuple[Alert, ...] = ()
    notes: tuple[str, ...] = field(default=())
    mail_possible: bool = False  # "Send test mail" has somewhere to go
