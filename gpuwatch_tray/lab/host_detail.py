"""One host in detail: what its exporter tells, as the snapshot that the host itself would have. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.i18n import _
from gpuwatch_tray.lab.answers import harmless
from gpuwatch_tray.lab.host_states import READING_AGE
from gpuwatch_tray.lab.promql import SCRAPED
from gpuwatch_tray.model import (
    UNKNOWN,
    Field,
    Gpu,
    GpuProcess,
    Problem,
    ProcessKind,
    Snapshot,
    known,
)
from gpuwatch_tray.model.units import rough_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuwatch_tray.lab.answers import Sample


_PREFIX = "gpuwatch_"
_PERCENT = 100
LONGEST_NUMBER = 10  # digits: no index and no PID has more
_OF_ALL = {
    "gpu_info",
    "gpu_list_complete",
    "gpu_healthy",
    "gpu_xid_total",
}  # of one that cannot be read as well


class _GpuKey(NamedTuple):
    number: int
    uuid: str


class _ProcessKey(NamedTuple):
    gpu: int
    uuid: str
    pid: int
    user: str
    name: str
    type: str


class _Facts(Struct):
    """What the samples say of the host as a whole, of each GPU and of each process, by metric."""

    alone: dict[str, float] = {}
    gpus: dict[_GpuKey, dict[str, float]] = {}
    names: dict[_GpuKey, str] = {}
    boards: dict[int, str] = {}  # the physical GPUs' UUIDs
    processes: dict[_ProcessKey, dict[str, float]] = {}
    asked: float = 0.0  # when the question was put, by the server's clock
    scraped: float | None = None  # when the host was last scraped, by the same clock

    def add(self, sample: Sample) -> None:
        self.asked = max(self.asked, sample.at)
        if SCRAPED in sample.labels:
            self.scraped = known(_number(sample.value))
            return
        metric = sample.labels.get("__name__", "").removeprefix(_PREFIX)
        if metric.startswith("process_"):
            process = _process_key(sample.labels)
            if process is not None:
                self.processes.setdefault(process, {})[metric] = sample.value
        elif metric.startswith("gpu_"):
            key = _gpu_key(sample.labels)
            if key is not None:
                self._add_gpu(key, metric, sample)
        elif not metric.startswith("user_"):
            self.alone[metric] = sample.value

    def _add_gpu(self, key: _GpuKey, metric: str, sample: Sample) -> None:
        self.gpus.setdefault(key, {})[metric] = sample.value
        if metric == "gpu_info":
            self.names[key] = harmless(sample.labels.get("name", ""))
            if sample.labels.get("kind") != "mig":
                self.boards[key.number] = key.uuid


class _Times(Struct, frozen=True):
    """When the host read its GPUs, by its clock and by ours (seconds, wall time), as far as that is told."""

    reading: float | None  # by the host's clock
    ours: float
    ahead: float | None  # seconds by which its clock is before ours; None where it does not tell its time

    @classmethod
    def of(cls, facts: _Facts, now: float) -> _Times:
        """Work them out; `now` is our time of the question. The servers' clock need not be right."""
        scraped = now if facts.scraped is None else now - max(facts.asked - facts.scraped, 0.0)
        clock = known(_number(facts.alone.get("host_clock_timestamp_seconds")))
        reading = known(_number(facts.alone.get("last_reading_timestamp_seconds")))
        if clock is not None:
            age = 0.0 if reading is None else max(clock - reading, 0.0)
            return cls(clock if reading is None else reading, scraped - age, clock - scraped)
        # What is read from a file has no clock: that of the host counts as right, unless it cannot be.
        told = 0.0 if reading is None or facts.scraped is None else facts.scraped - reading
        return cls(reading, scraped - (told if 0.0 <= told <= READING_AGE else 0.0), None)


def snapshot_of(source: str, samples: Sequence[Sample], me: str, now: float) -> Snapshot:
    """
    Return the host's GPUs and processes as it read them, `me` being the user's name there; else a problem.

    `now` is our wall time of the question. The snapshot's times are by our clock, as far as the host tells
    its own; what is not told is unknown.
    """
    facts = _Facts()
    for sample in samples:
        facts.add(sample)
    times = _Times.of(facts, now)
    if "reading_ok" not in facts.alone:
        return Snapshot(source, now, problem=Problem(_("its exporter gives no details")))
    if facts.alone["reading_ok"] != 1:
        return Snapshot(source, times.ours, problem=Problem(_("the host cannot read its GPUs")))
    age = now - times.ours
    if age > READING_AGE:
        text = _("it last read its GPUs {time} ago").format(time=rough_duration(age))
        return Snapshot(source, times.ours, problem=Problem(text))
    boards = facts.boards
    return Snapshot(
        source,
        times.ours,
        gpus=tuple(
            replace(
                _gpu(key, facts.gpus[key]),
                name=facts.names.get(key) or UNKNOWN,
                physical=boards.get(key.number, "") if boards.get(key.number) != key.uuid else "",
            )
            for key in sorted(facts.gpus)
        ),
        processes=tuple(_process(key, facts.processes[key], me, times) for key in sorted(facts.processes)),
    )


def _gpu(key: _GpuKey, values: Mapping[str, float]) -> Gpu:
    omitted = known(_whole(values.get("gpu_processes_omitted")))
    if values.get("gpu_list_complete") != 1:
        process_problem: str | None = _("the host does not know all of its processes")
    elif omitted:
        process_problem = _("{count} more processes are not listed").format(count=omitted)
    else:
        process_problem = None
    return Gpu(
        key.number,
        key.uuid,
        problem=None if values.keys() - _OF_ALL else _("the host cannot read it"),
        memory_used=_whole(values.get("gpu_memory_used_bytes")),
        memory_total=_whole(values.get("gpu_memory_total_bytes")),
        utilisation=_whole(values.get("gpu_utilization_ratio"), _PERCENT),
        temperature=_whole(values.get("gpu_temperature_celsius")),
        power=_number(values.get("gpu_power_watts")),
        power_limit=_number(values.get("gpu_power_limit_watts")),
        fan=_whole(values.get("gpu_fan_ratio"), _PERCENT),
        process_problem=process_problem,
        energy=_number(values.get("gpu_energy_joules_total")),
        ecc_uncorrected=_whole(values.get("gpu_ecc_uncorrected_total")),
    )


def _process(key: _ProcessKey, values: Mapping[str, float], me: str, times: _Times) -> GpuProcess:
    start = known(_number(values.get("process_start_timestamp_seconds")))
    kinds = {kind for kind in ProcessKind if kind.value in key.type}
    return GpuProcess(
        key.pid,
        key.gpu,
        frozenset(kinds),
        memory=_whole(values.get("process_memory_bytes")),
        user=harmless(key.user) if key.user else UNKNOWN,
        mine=key.user == me if key.user and me else None,
        started=UNKNOWN if start is None else start - (times.ahead or 0.0),
        # By the host's clock both: how far that one is off does not matter.
        elapsed=UNKNOWN if start is None or times.reading is None else max(times.reading - start, 0.0),
        identity="" if start is None else f"{start:.0f}",
        name=harmless(key.name) if key.name else UNKNOWN,
    )


def _gpu_key(labels: Mapping[str, str]) -> _GpuKey | None:
    index = labels.get("gpu", "")
    return _GpuKey(int(index), harmless(labels.get("uuid", ""))) if _is_number(index) else None


def _process_key(labels: Mapping[str, str]) -> _ProcessKey | None:
    gpu, pid = labels.get("gpu", ""), labels.get("pid", "")
    if not _is_number(gpu) or not _is_number(pid):
        return None
    told = (labels.get(name, "") for name in ("user", "name", "type"))
    return _ProcessKey(int(gpu), labels.get("uuid", ""), int(pid), *told)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER


def _whole(value: float | None, times: float = 1) -> Field[int]:
    return UNKNOWN if value is None or not math.isfinite(value) or value < 0 else round(value * times)


def _number(value: float | None) -> Field[float]:
    return UNKNOWN if value is None or not math.isfinite(value) or value < 0 else value
