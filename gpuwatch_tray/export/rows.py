"""
A snapshot as rows of metrics. Pure.

What is not known has no row: neither 0 nor the last value. No row holds a command, a folder, or a run's id.
Values of labels are visible, redacted and cut to `LONGEST`; there are as many rows as the machine has GPUs,
users and `EXPORT_PROCESSES` a GPU.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.proclist import type_text
from gpuwatch_tray.model import ExportUsers, Missing, ProcessKind, Severity, gpu_subject, known
from gpuwatch_tray.rules.verdict import GpuLookup, computing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gpuwatch_tray.export.reading_tally import ReadingTally
    from gpuwatch_tray.model import ExportSettings, Field, Gpu, GpuProcess, Limits, Snapshot


LONGEST = 64  # characters of a label's value
PERCENT = 100.0

Labels: TypeAlias = tuple[str, ...]
Rows: TypeAlias = dict[str, dict[Labels, float]]  # by the metric's name, then by the labels of `METRICS`


class FiringAlert(Struct, frozen=True):
    """An alert that fires, and the GPUs (indexes) that it is about; none: about the machine."""

    rule: str
    severity: Severity
    gpus: tuple[int, ...] = ()


def blind_rows(good: float | None = None) -> Rows:
    """Return the rows where nothing can be read; `good` is when something last could."""
    rows: Rows = {"reading_ok": {(): 0.0}, "alerts_evaluated": {(): 0.0}}
    if good is not None:
        rows["last_reading_timestamp_seconds"] = {(): good}
    return rows


def build_rows(
    snapshot: Snapshot | None,
    tally: ReadingTally,
    limits: Limits,
    export: ExportSettings,
    firing: Iterable[FiringAlert] | None,
) -> Rows:
    """
    Return the rows of a snapshot that has the GPUs of the inventory too.

    `firing` is None where nobody judges by the rules. Alerts stay where the GPUs cannot be read: they go on.
    """
    rows = blind_rows(None if tally.good is None else tally.good.at)
    alerts = None if firing is None else tuple(firing)
    if alerts is not None:
        rows["alerts_evaluated"] = {(): 1.0}
        rows["alert"] = _alert_rows(alerts)
    if snapshot is None or snapshot.problem is not None:
        return rows
    rows["reading_ok"] = {(): 1.0}
    boards = [gpu for _name, gpu in snapshot.boards]
    if boards and not any(_is_nameless(gpu) for gpu in boards):  # an empty process list tells of no GPU
        rows["gpus_visible"] = {(): float(sum(gpu.problem is None for gpu in boards))}
        rows["gpus_expected"] = {(): float(len(boards))}
    found: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
    _add_gpus(found, snapshot, alerts or ())
    _add_sums(found)
    _add_xids(found, snapshot, tally.xids)
    _add_processes(found, snapshot, export)
    lists = found["gpu_list_complete"].values()
    complete = _add_users(found, snapshot, limits, export) and bool(lists) and all(lists)
    rows["user_list_complete"] = {(): float(complete)}
    return rows | found


def _alert_rows(firing: Iterable[FiringAlert]) -> dict[Labels, float]:
    return {
        (_label(alert.rule), alert.severity.name.lower(), gpu): 1.0
        for alert in firing
        for gpu in map(str, alert.gpus or ("",))
    }


def _add_gpus(
    found: Mapping[str, dict[Labels, float]], snapshot: Snapshot, firing: Iterable[FiringAlert]
) -> None:
    critical = {gpu for alert in firing if alert.severity is Severity.CRITICAL for gpu in alert.gpus}
    free, busy = snapshot.free_gpus or {}, _busy(snapshot)
    for gpu in snapshot.gpus:
        labels = _gpu_labels(gpu)
        kind = "mig" if gpu.physical else "gpu"
        found["gpu_info"][(*labels, _label(known(gpu.name) or ""), kind)] = 1.0
        whole = gpu.problem is None and gpu.process_problem is None and None not in busy
        found["gpu_list_complete"][labels] = float(whole and not _is_nameless(gpu))
        if not gpu.physical:
            if not _is_nameless(gpu):
                found["gpu_healthy"][labels] = float(_works(gpu) and gpu.index not in critical)
            if gpu.index in busy:
                found["gpu_free"][labels] = 0.0
            elif gpu.uuid in free:
                found["gpu_free"][labels] = 1.0
        for name, value, divisor in (
            ("gpu_memory_used_bytes", gpu.memory_used, 1.0),
            ("gpu_memory_total_bytes", gpu.memory_total, 1.0),
            ("gpu_utilization_ratio", gpu.utilisation, PERCENT),
            ("gpu_fan_ratio", gpu.fan, PERCENT),
            ("gpu_temperature_celsius", gpu.temperature, 1.0),
            ("gpu_power_watts", gpu.power, 1.0),
            ("gpu_power_limit_watts", gpu.power_limit, 1.0),
            ("gpu_energy_joules_total", gpu.energy, 1.0),
            ("gpu_ecc_uncorrected_total", gpu.ecc_uncorrected, 1.0),
        ):
            if gpu.problem is None and not isinstance(value, Missing):
                found[name][labels] = value / divisor


def _is_nameless(gpu: Gpu) -> bool:
    """Tell whether it is from a process list, which may have one user's processes alone, and no idle GPU."""
    return not gpu.uuid and gpu.problem is None and not gpu.asleep


def _add_sums(found: Mapping[str, dict[Labels, float]]) -> None:
    """Add what is told of all GPUs together, where it is told of any."""
    free = found["gpu_free"]
    if free:
        found["gpus_free"][()] = sum(free.values())
    used, total = found["gpu_memory_used_bytes"], found["gpu_memory_total_bytes"]
    room = [
        total[gpu] - used[gpu] for gpu, is_free in free.items() if is_free and gpu in total and gpu in used
    ]
    if room:
        found["free_gpu_memory_bytes"][()] = max(room)
    if found["gpu_temperature_celsius"]:
        found["hottest_gpu_celsius"][()] = max(found["gpu_temperature_celsius"].values())


def _busy(snapshot: Snapshot) -> set[int | None]:
    """Return the GPUs on which something computes, as `free_gpus` sees it; with None: on some other one."""
    return {process.gpu for process in snapshot.processes if process.kinds != {ProcessKind.GRAPHICS}}


def _works(gpu: Gpu) -> bool:
    return gpu.problem is None and known(gpu.rows_failed) is not True and not known(gpu.recovery)


def _add_xids(
    found: Mapping[str, dict[Labels, float]], snapshot: Snapshot, xids: Mapping[tuple[str, int], int]
) -> None:
    index = {gpu.uuid: str(gpu.index) for gpu in snapshot.gpus}
    for (uuid, code), count in xids.items():
        found["gpu_xid_total"][(index.get(uuid, ""), _label(uuid), str(code))] = float(count)


def _add_processes(
    found: Mapping[str, dict[Labels, float]], snapshot: Snapshot, export: ExportSettings
) -> None:
    places = GpuLookup(snapshot)
    on_gpu: dict[str, list[GpuProcess]] = {gpu_subject(gpu): [] for gpu in snapshot.gpus}
    for process in snapshot.processes:
        if (gpu := places.of(process)) is not None:
            on_gpu[gpu_subject(gpu)].append(process)
    for gpu in snapshot.gpus:
        if gpu.problem is not None:
            continue
        processes, labels = on_gpu[gpu_subject(gpu)], _gpu_labels(gpu)
        told = sorted(processes, key=_by_memory)[: export.processes]
        for process in told:
            row = (*labels, str(process.pid), _user(process.user, export), _name(process), type_text(process))
            if not isinstance(process.memory, Missing):
                found["process_memory_bytes"][row] = float(process.memory)
            if not isinstance(process.started, Missing):
                found["process_start_timestamp_seconds"][row] = process.started
        if gpu.process_problem is None and not _is_nameless(gpu):
            found["gpu_processes"][labels] = float(len(processes))
            silent = sum(
                isinstance(process.memory, Missing) and isinstance(process.started, Missing)
                for process in told
            )
            found["gpu_processes_omitted"][labels] = float(len(processes) - len(told) + silent)


def _by_memory(process: GpuProcess) -> tuple[int, float, int]:
    """Order by memory, the most first, then by age: the choice must not change from poll to poll."""
    return -(known(process.memory) or 0), known(process.started) or 0.0, process.pid


def _add_users(
    found: Mapping[str, dict[Labels, float]], snapshot: Snapshot, limits: Limits, export: ExportSettings
) -> bool:
    """Add what each user has; return whether every owner is known and told."""
    if export.users is ExportUsers.NONE:
        return False
    held: dict[str, list[GpuProcess]] = {}
    for process in computing(snapshot, limits):
        held.setdefault(_user(process.user, export), []).append(process)
    unowned = held.pop("", ())
    for user, processes in held.items():
        gpus = {process.gpu for process in processes} - {None}
        if gpus:
            found["user_gpus"][(user,)] = float(len(gpus))
        sizes = [process.memory for process in processes]
        sure = [size for size in sizes if not isinstance(size, Missing)]
        if len(sure) == len(sizes):
            found["user_memory_bytes"][(user,)] = float(sum(sure))
        starts = [process.started for process in processes if not isinstance(process.started, Missing)]
        if starts:
            found["user_oldest_start_timestamp_seconds"][(user,)] = min(starts)
    return not unowned


def _gpu_labels(gpu: Gpu) -> Labels:
    return str(gpu.index), _label(gpu.uuid)


def _user(user: Field[str], export: ExportSettings) -> str:
    """Return the owner as EXPORT_USERS has it; empty where it is not known."""
    if isinstance(user, Missing) or export.users is ExportUsers.NONE:
        return ""
    return redact.pseudonym(user) if export.users is ExportUsers.HASHED else _label(user)


def _name(process: GpuProcess) -> str:
    return "" if isinstance(process.name, Missing) else _label(redact.process_name(process.name))


def _label(text: str) -> str:
    return redact.visible(text).strip()[:LONGEST]
