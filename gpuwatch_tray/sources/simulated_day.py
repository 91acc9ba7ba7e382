"""The day before a simulation begins, as readings: a made-up workstation that three people share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.model import ClockLimit, GpuProcess, ProcessKind, Snapshot
from gpuwatch_tray.model.units import DAY, GIB, HOUR, MINUTE
from gpuwatch_tray.sources.simulated import FIRST_PID, simulate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.model import Gpu


PAST_PIDS = FIRST_PID + 1_000_000  # none of them is a process of the simulation's present
ASLEEP = (-13.4, -12.9)  # hours: the machine slept, and nobody looked
_RESERVED = 730 * 2**20
_WARMING = 540.0  # seconds after which about two thirds of a change of the temperature are over
_POWER = 330.0  # W of full load


class _Job(Struct, frozen=True):
    """A process of the day: on this GPU from hour to hour before the end, with so many GiB and this load."""

    gpu: int
    start: float
    end: float
    user: str  # empty for the person who watches
    name: str
    memory: float
    load: float


# Of the person two GPUs at a time are one more than the limit, and more than six hours are too long.
_JOBS = (
    _Job(0, -24.5, -17.4, "", "train.py", 14.0, 0.84),
    _Job(1, -21.2, -20.3, "", "evaluate.py", 9.5, 0.76),
    _Job(1, -19.0, -15.1, "bob", "sample.py", 6.2, 0.47),
    _Job(0, -16.6, -9.2, "alice", "ipykernel_launcher", 3.1, 0.08),
    _Job(1, -14.6, -9.0, "", "finetune.py", 19.4, 0.97),
    _Job(0, -8.6, -3.1, "", "train.py", 15.2, 0.88),
    _Job(1, -7.7, -4.6, "alice", "sample.py", 11.3, 0.62),
    _Job(1, -4.1, -3.5, "", "evaluate.py", 9.5, 0.76),
    _Job(0, -2.6, -0.3, "bob", "train.py", 12.4, 0.71),
    _Job(1, -1.9, -0.6, "", "evaluate.py", 9.5, 0.58),
)


def simulated_day(end: float, user: str, every: int = MINUTE) -> Iterator[Snapshot]:
    """Yield the readings of the 24 hours up to `end` (wall time), one in so many seconds."""
    warmed = 1 - math.exp(-every / _WARMING)
    gpus = simulate(0.0, end, user, HOUR).gpus
    heat = [gpu.temperature if isinstance(gpu.temperature, int) else 34.0 for gpu in gpus]
    for since in range(0, DAY, every):
        at = int(end) - DAY + since
        hour = (at - end) / HOUR
        present = [(number, job) for number, job in enumerate(_JOBS) if job.start <= hour < job.end]
        shown = []
        for gpu in gpus:
            jobs = [job for _number, job in present if job.gpu == gpu.index]
            load = _load(jobs, since, gpu.index)
            goal = 35 + 3 * gpu.index + (54 if gpu.index else 43) * load + math.sin(since / 5200)
            heat[gpu.index] += (goal - heat[gpu.index]) * warmed
            pause = (
                0.55 if since // MINUTE % 47 in {0, 1} else 1.0
            )  # a checkpoint is written: too short to cool
            shown.append(_reading(gpu, jobs, load * pause, heat[gpu.index]))
        if not ASLEEP[0] <= hour < ASLEEP[1]:
            processes = tuple(_process(number, job, at, at - end, user) for number, job in present)
            yield Snapshot("simulated", at, tuple(shown), processes, boot_id="simulated", simulated=True)


def _load(jobs: list[_Job], since: int, index: int) -> float:
    """Return the load from 0 to 1, which swings as that of programs does that also read their data."""
    swing = 0.93 + 0.05 * math.sin(since / 640 + index) + 0.03 * math.sin(since / 95 + 2 * index)
    return min(1.0, sum(job.load for job in jobs)) * swing


def _reading(gpu: Gpu, jobs: list[_Job], load: float, heat: float) -> Gpu:
    return replace(
        gpu,
        memory_used=_RESERVED + int(sum(job.memory for job in jobs) * GIB),
        utilisation=round(100 * min(load, 1.0)),
        temperature=round(heat),
        power=round(24 + _POWER * load, 1),
        fan=round(max(30.0, heat - 20)),
        limited_by=ClockLimit(0) if load else ClockLimit.IDLE,
    )


def _process(number: int, job: _Job, at: int, since_end: float, user: str) -> GpuProcess:
    elapsed = since_end - job.start * HOUR
    return GpuProcess(
        pid=PAST_PIDS + number,
        gpu=job.gpu,
        kinds=frozenset({ProcessKind.COMPUTE}),
        memory=int(job.memory * GIB),
        user=job.user or user,
        mine=not job.user,
        started=at - elapsed,
        elapsed=elapsed,
        identity=f"day.{number}",
        command=("python3.11", job.name),
        name=job.name,
    )
