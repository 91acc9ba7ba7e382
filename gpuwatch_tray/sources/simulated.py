"""A simulated workstation on which GPU_LIMIT and MAX_ETIME raise an alert within a minute, every 90 s."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.model import (
    UNSUPPORTED,
    ClockLimit,
    Gpu,
    GpuProcess,
    Limits,
    Missing,
    ProcessKind,
    Snapshot,
    Why,
)
from gpuwatch_tray.model.units import DAY, GIB, HOUR, MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


PERIOD = 90.0
SECOND_GPU_AT = 12.0
TOO_LONG_AT = 35.0
SECOND_GPU_UNTIL = 62.0
TRAINING_UNTIL = 70.0
MAX_ETIME = 6 * HOUR  # seconds, where the user has no such limit
TRAINING_FROM = -18.0  # so the training of the next round starts at 72

FIRST_PID = 4_194_305  # above Linux' highest pid_max: no simulated PID ever names a real process
_TOTAL = 24 * GIB
_RESERVED = 420 * MIB
_XORG_AGE = 5 * DAY
_SLOWDOWN_AT = 93  # degrees C
_LANES = 16
_NOT_ALLOWED = Missing(Why.ERROR, "permission denied")


class _Part(Struct, frozen=True):
    """A process of the simulation; start and end in seconds of its round, memory in bytes, load 0 to 1."""

    number: int
    gpu: int
    start: float
    end: float
    memory: int
    load: float
    command: str


_TRAINING = _Part(
    *(1, 0, TRAINING_FROM, TRAINING_UNTIL, 14_336 * MIB, 0.86),
    "train.py --config configs/base-24g.yaml --batch-size 16 --wandb-key FAKE-KEY-OF-THE-DEMO",  # is redacted
)
_SECOND = _Part(
    *(2, 1, SECOND_GPU_AT, SECOND_GPU_UNTIL, 9_728 * MIB, 0.93),
    "evaluate.py --checkpoint runs/0142/last.ckpt --max-tokens 512",
)
_NOTEBOOK = _Part(
    *(3, 0, TRAINING_FROM, TRAINING_UNTIL, 2_150 * MIB, 0.06),
    "-m ipykernel_launcher -f /home/alice/kernel-0142.json",
)
_XORG_MEMORY = 310 * MIB


class SimulatedSource:
    """The simulation as a source. `max_etime` (seconds) is the limit that the training passes."""

    name = "simulated"

    def __init__(
        self,
        user: str,
        *,
        max_etime: int,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._user = user
        self._max_etime = max_etime
        self._clock = clock
        self._monotonic = monotonic
        self._began = monotonic()

    def read(self) -> Snapshot:
        """Return the simulation at this moment."""
        return simulate(self._monotonic() - self._began, self._clock(), self._user, self._max_etime)

    def close(self) -> None:
        """Do nothing: nothing is held."""


def demo_limits(limits: Limits) -> Limits:
    """Return the limits under which both rules raise an alert: one GPU, the rest as the user has it."""
    return replace(limits, gpu_limit=1)


def simulate(t: float, at: float, user: str, max_etime: int) -> Snapshot:
    """Return the snapshot `t` seconds after the start, which is the wall time `at`."""
    processes = [_xorg(t, at, user)]
    for part, round_, phase in _present(t):
        mine = part is not _NOTEBOOK
        elapsed = phase - part.start
        process = GpuProcess(
            pid=FIRST_PID + round_ * len(_PARTS) + part.number,
            gpu=part.gpu,
            kinds=frozenset({ProcessKind.COMPUTE}),
            memory=int(part.memory * _swell(phase - part.start, part.end - part.start, 4.0)),
            user=user if mine else "alice",
            mine=mine,
            elapsed=max(elapsed, max_etime - TOO_LONG_AT + phase) if part is _TRAINING else elapsed,
            identity=f"{round_}.{part.number}",
            cwd=f"/home/{user}/projects/summaries" if mine else _NOT_ALLOWED,
            command=("python3.11", *part.command.split()),
            name="python3.11",
        )
        processes.append(process)
    processes = [
        process if isinstance(process.elapsed, Missing) else replace(process, started=at - process.elapsed)
        for process in processes
    ]
    return Snapshot(
        SimulatedSource.name,
        at,
        gpus=tuple(_gpu(index, t) for index in (0, 1)),
        processes=tuple(sorted(processes, key=lambda process: (process.gpu or 0, process.pid))),
        boot_id="simulated",
        simulated=True,
    )


_PARTS = (_TRAINING, _SECOND, _NOTEBOOK)


def _present(t: float) -> Iterator[tuple[_Part, int, float]]:
    """Yield the parts at `t`, each with its round and the seconds into it; the next round begins early."""
    current = int(t // PERIOD)
    for round_ in (current, current + 1):
        phase = t - round_ * PERIOD
        for part in _PARTS:
            if part.start <= phase < part.end:
                yield part, round_, phase


def _xorg(t: float, at: float, user: str) -> GpuProcess:
    """Return the desktop: one's own and there for days, but graphics only, so no rule counts it."""
    return GpuProcess(
        pid=FIRST_PID,
        gpu=0,
        kinds=frozenset({ProcessKind.GRAPHICS}),
        memory=_XORG_MEMORY,
        user=user,
        mine=True,
        started=at - _XORG_AGE - t,
        elapsed=_XORG_AGE + t,
        identity="desktop",
        cwd=f"/home/{user}",
        command=("/usr/lib/xorg/Xorg", "vt2", "-displayfd", "3", "-keeptty", "-verbose", "3"),
        name="Xorg",
    )


def _gpu(index: int, t: float) -> Gpu:
    """Return the GPU at `t`: its values follow its processes smoothly, heat more slowly than load."""
    load = heat = 0.0
    used = _RESERVED + (_XORG_MEMORY if index == 0 else 0)
    current = int(t // PERIOD)
    for round_ in (current - 1, current, current + 1):  # the last round's heat lingers
        for part in _PARTS:
            if part.gpu != index:
                continue
            since, length = t - round_ * PERIOD - part.start, part.end - part.start
            load += part.load * _swell(since, length, 3.0)
            heat += part.load * _swell(since, length, 14.0, tail=14.0)
            if 0 <= since < length:
                used += int(part.memory * _swell(since, length, 4.0))
    load *= 0.96 + 0.04 * math.sin(t / 3.1 + index)
    heat = min(1.0, heat)
    return Gpu(
        index=index,
        uuid=f"GPU-51317a7e-0000-4000-8000-00000000000{index}",
        name="Simulated RTX 4090",
        memory_used=used,
        memory_total=_TOTAL,
        utilisation=round(100 * min(1.0, load)),
        temperature=round(34 + 3 * index + 40 * heat),
        power=round(24.0 + 330.0 * min(1.0, load), 1),
        power_limit=450.0,
        fan=round(30 + 35 * heat),
        slowdown_at=_SLOWDOWN_AT,
        limited_by=ClockLimit(0) if load else ClockLimit.IDLE,
        ecc_corrected=0,
        ecc_uncorrected=0,
        rows_pending=False,
        rows_failed=False,
        pcie_width=_LANES,
        pcie_width_most=_LANES,
        energy=UNSUPPORTED,  # as of many a card
        recovery=0,
    )


def _swell(since: float, length: float, ramp: float, tail: float = 0.0) -> float:
    """Rise from 0 at the start to 1, and fall to 0 at the end or `tail` seconds past it; both smoothly."""
    return _smooth(since / ramp) * _smooth((length + tail - since) / ramp)


def _smooth(x: float) -> float:
    x = min(1.0, max(0.0, x))
    return x * x * (3 - 2 * x)
