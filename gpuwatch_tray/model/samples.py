"""
History: values over stretches of a minute or of ten, which begin at a multiple of their length.

A value never known in a stretch is None, and one without a reading has no sample: neither is a 0.
Measurements are weighted by the boot clock: where the wall clock was set, `covered` may be more seconds than
a stretch has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from gpuwatch_tray.model.units import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.model.alerts import Severity


TEN_MINUTES = 10 * MINUTE  # seconds: the second length of a stretch, beside a minute
MINUTE_SAMPLES_KEPT = 48 * HOUR  # seconds
TEN_MINUTE_SAMPLES_KEPT = 30 * DAY


class Span(Struct, frozen=True):
    """The lowest, mean and highest of a value over the `seconds` in which it was known."""

    low: float
    mean: float
    high: float
    seconds: float


class GpuFacts(Struct, frozen=True):
    """What does not change about a GPU: as it was last seen. `slowdown_at` in degrees C, memory in bytes."""

    uuid: str
    index: int
    name: str | None = None
    memory_total: int | None = None
    slowdown_at: int | None = None
    physical: str = ""  # of a MIG device, the UUID of its GPU


class GpuSample(Struct, frozen=True):
    """One GPU over one stretch; `asleep` to `idle` are seconds of those `covered`."""

    uuid: str
    at: int  # the start, in seconds since the epoch
    seconds: int
    covered: float  # how many of the seconds were seen
    readings: int
    memory: Span | None = None
    utilisation: Span | None = None
    temperature: Span | None = None
    power: Span | None = None
    fan: Span | None = None
    throttled: Span | None = None  # 1 while heat or the hardware kept the clocks down
    level: Severity | None = None  # the worst severity of the GPU's alerts
    energy: float | None = None  # J drawn
    asleep: float = 0.0
    listed: float = 0.0  # its processes were known
    seconds_in_use: float = 0.0  # one or more of them computed
    idle: float = 0.0  # and it did nothing (IDLE_PCT) meanwhile


class ProcessRun(Struct, frozen=True):
    """One process on one GPU, from when to when it was seen; a process on two GPUs is two runs."""

    key: str
    pid: int
    uuid: str  # of the GPU or MIG device; empty where the source could not tell (`GPU=?`)
    user: str | None  # None where the owner cannot be told
    mine: bool | None
    name: str | None  # short and safe to show; None where there is none
    started: float | None
    computes: bool  # it had a compute context, and is none of IGNORE_PROCESSES
    first: float
    last: float


class Use(Struct, frozen=True):
    """The use of a GPU by a process, or by all processes of one user, over a stretch."""

    who: str | None  # a `ProcessRun.key`, or a user's name; None for an unknown owner
    uuid: str
    at: int
    seconds: int
    seconds_in_use: float  # seconds that it was there
    memory: Span | None = None
    utilisation: Span | None = None  # of the GPU meanwhile
    idle: float = 0.0  # seconds that the GPU did nothing meanwhile
    energy: float | None = None  # its share in J: what a GPU draws is divided among all that compute


class Stretch(Struct, frozen=True):
    """One stretch: at most one sample a GPU, one use a process, and one a user and GPU."""

    at: int
    seconds: int  # a multiple of 60 where it stands for several minutes that are alike
    gpus: tuple[GpuSample, ...] = ()
    users: tuple[Use, ...] = ()
    processes: tuple[Use, ...] = ()

    @property
    def end(self) -> int:
        """The wall time at which it ends."""
        return self.at + self.seconds


class Minute(Struct, frozen=True):
    """One minute, with the facts of its GPUs and its processes."""

    stretch: Stretch
    facts: tuple[GpuFacts, ...] = ()
    runs: tuple[ProcessRun, ...] = ()


class AlertMark(Struct, frozen=True):
    """An alert on the time axis, from when it fired."""

    id: int
    rule: str
    severity: Severity
    text: str  # redacted
    began: float
    ended: float | None  # None while it goes on
    uuids: tuple[str, ...] = ()  # the GPUs that it is about; none for the machine


class History(Struct, frozen=True):
    """The stored history from `start` to `end`, everything oldest first."""

    start: float
    end: float
    gpus: tuple[GpuFacts, ...] = ()
    # By UUID: ten-minute ones, then by the minute.
    samples: Mapping[str, tuple[GpuSample, ...]] = field(default_factory=dict)
    runs: tuple[ProcessRun, ...] = ()
    users: tuple[Use, ...] = ()
    processes: tuple[Use, ...] = ()  # or one over all of the time, or none, as was asked for
    marks: tuple[AlertMark, ...] = ()
