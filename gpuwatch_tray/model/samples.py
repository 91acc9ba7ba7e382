"""
History: values over stretches of a minute or of ten.

A value that was never known in a stretch is None, a stretch without a reading has no sample: neither is a 0.
Wall times are seconds since the epoch; a stretch begins at a multiple of its length. Measurements are
weighted by the boot clock, so that totals hold where the wall clock was set: a stretch that the wall clock
went through twice has more `covered` seconds than it is long.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuwatch_tray.units import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.model.alerts import Severity


TEN_MINUTES = 10 * MINUTE  # seconds: the second length of a stretch, beside a minute
MINUTES_FOR = 48 * HOUR  # seconds that the samples of a minute are kept
TENS_FOR = 30 * DAY  # and those of ten


@dataclass(frozen=True, slots=True)
class Span:
    """The lowest, mean and highest of a value over the `seconds` in which it was known."""

    low: float
    mean: float
    high: float
    seconds: float


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """What does not change about a GPU: as it was last seen. `slowdown_at` in degrees C, memory in bytes."""

    uuid: str
    index: int
    name: str | None = None
    memory_total: int | None = None
    slowdown_at: int | None = None
    physical: str = ""  # of a MIG device, the UUID of its GPU


@dataclass(frozen=True, slots=True)
class GpuSample:
    """
    One GPU over one stretch: `at` is its start, `seconds` its length, `covered` how much of it was seen.

    `throttled` is 1 while heat or the hardware kept the clocks down (its mean is the share of time), `level`
    the worst severity of the GPU's alerts, `energy` what it drew, in J. Of the covered seconds, it slept for
    `asleep`, its processes were known for `listed`, one or more of them computed for `held`, and it did
    nothing (IDLE_PCT) meanwhile for `idle`.
    """

    uuid: str
    at: int
    seconds: int
    covered: float
    readings: int
    memory: Span | None = None
    utilisation: Span | None = None
    temperature: Span | None = None
    power: Span | None = None
    fan: Span | None = None
    throttled: Span | None = None
    level: Severity | None = None
    energy: float | None = None
    asleep: float = 0.0
    listed: float = 0.0
    held: float = 0.0
    idle: float = 0.0


@dataclass(frozen=True, slots=True)
class ProcessRun:
    """
    One process on one GPU, from when to when it was seen.

    A process on two GPUs is two runs. `uuid` is that of the GPU or MIG device, empty where the source could
    not tell (`GPU=?`). `user` is None where the owner cannot be told, `name` where there is none; it is short
    and safe to show. `computes`: it was seen with a compute context, and is none of IGNORE_PROCESSES.
    """

    key: str
    pid: int
    uuid: str
    user: str | None
    mine: bool | None
    name: str | None
    started: float | None
    computes: bool
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Use:
    """
    The use of a GPU by a process, or by all processes of one user, over a stretch.

    `who` is the process's `ProcessRun.key`, or the user's name: None for an unknown owner. It was there for
    `held` seconds. `utilisation` is the GPU's, and `idle` for how long it did nothing, meanwhile. `energy` is
    its share in J: what a GPU draws while something computes is divided equally among what does.
    """

    who: str | None
    uuid: str
    at: int
    seconds: int
    held: float
    memory: Span | None = None
    utilisation: Span | None = None
    idle: float = 0.0
    energy: float | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """
    One stretch: at most one sample a GPU, one use a process, and one a user and GPU.

    A stretch can stand for several minutes in a row that are alike: `seconds` is then a multiple of 60.
    """

    at: int
    seconds: int
    gpus: tuple[GpuSample, ...] = ()
    users: tuple[Use, ...] = ()
    processes: tuple[Use, ...] = ()

    @property
    def end(self) -> int:
        """The wall time at which it ends."""
        return self.at + self.seconds


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute, with the facts of its GPUs and its processes."""

    stretch: Stretch
    facts: tuple[GpuFacts, ...] = ()
    runs: tuple[ProcessRun, ...] = ()


@dataclass(frozen=True, slots=True)
class AlertMark:
    """
    An alert on the time axis, from when it fired.

    `ended` is None while it goes on. `uuids` are the GPUs that it is about; none where it is of the machine
    or of a process that is on none now. `text` is redacted.
    """

    id: int
    rule: str
    severity: Severity
    text: str
    began: float
    ended: float | None
    uuids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """
    The stored history from `start` to `end`.

    `samples` are those of each GPU (UUID), oldest first: ten-minute ones, then those of the last 48 h by the
    minute, unless all were asked for by ten. `users` and `processes` are their uses, oldest first; of
    processes there may be one over all of the time instead, or none, as was asked for.
    """

    start: float
    end: float
    gpus: tuple[GpuFacts, ...] = ()
    samples: Mapping[str, tuple[GpuSample, ...]] = field(default_factory=dict)
    runs: tuple[ProcessRun, ...] = ()
    users: tuple[Use, ...] = ()
    processes: tuple[Use, ...] = ()
    marks: tuple[AlertMark, ...] = ()
