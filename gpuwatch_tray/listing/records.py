"""The process list as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray.listing.text import type_text
from gpuwatch_tray.listing.totals import totals_json
from gpuwatch_tray.model import UNKNOWN, ClockLimit, Field, Gpu, GpuProcess, Missing, Problem, Snapshot
from gpuwatch_tray.redact import process_name, program
from gpuwatch_tray.units import local_datetime

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = 1


def listing_json(
    snapshot: Snapshot, processes: Sequence[GpuProcess], *, with_users: bool = False
) -> dict[str, Any]:
    """
    Return everything that `ps --json` prints, ready for `json.dumps`.

    ```
    {
      "schema": 1,                  raised when a field changes its meaning or goes; new fields may come
      "source": "nvml",
      "simulated": false,
      "at": "2026-01-07T23:27:48.120000+01:00",
      "problem": null,              or {"text", "mend", "no_driver"}: then both lists say nothing
      "gpus": [{
        "index": 0, "uuid": "GPU-...", "name": "...",
        "memory_used_bytes": 0, "memory_total_bytes": 0, "utilisation_percent": 0, "temperature_c": 0,
        "power_w": 0.0, "power_limit_w": 0.0, "fan_percent": 0,
        "slowdown_c": 0, "limited_by": ["sw_thermal"], "ecc_corrected": 0, "ecc_uncorrected": 0,
        "rows_pending": false, "rows_failed": false, "pcie_width": 16, "pcie_width_most": 16,
        "physical": null,           of a MIG device, the UUID of its GPU, whose index it has
        "asleep": false,            suspended by the system, and left so
        "problem": null,            or a text: this GPU cannot be read
        "process_problem": null,    or a text: this GPU's process list is not complete
        "missing": {"fan_percent": "unsupported"}
      }],
      "processes": [{
        "gpu": 0, "device": null, "pid": 2943615, "user": "alice", "mine": true, "type": "C",
        "memory_bytes": 0, "started": "2026-...", "elapsed_s": 214.2,
        "cwd": "/...", "command": ["python", "train.py"], "name": "python",
        "missing": {}
      }],
      "users": [{                   with --all only: the totals of each user, unknown owners as null
        "user": "alice", "memory_bytes": 0, "memory_unknown": 0, "gpus": [0], "processes": 1
      }]
    }
    ```

    A missing value is null and `missing` says in which way: `unsupported` (this device never gives it),
    `error` (not read this time; the cause may follow a colon), `unknown` (the source was never told),
    `redacted` (another person's arguments). `mine` is null where the owner is unknown. `type` is nvidia-smi's
    letters, `?` where not known; `device` is the UUID of the MIG device. Of `users`, `memory_unknown` counts
    what is not in `memory_bytes`: the processes on a GPU whose memory is not known. Times are local with
    their offset.
    """
    record = {
        "schema": SCHEMA,
        "source": snapshot.source,
        "simulated": snapshot.simulated,
        "at": local_datetime(snapshot.at).isoformat(),
        "problem": _problem_json(snapshot.problem),
        "gpus": [_gpu_json(gpu) for gpu in snapshot.gpus],
        "processes": [_process_json(process) for process in processes],
    }
    return record | {"users": totals_json(processes)} if with_users else record


def _gpu_json(gpu: Gpu) -> dict[str, Any]:
    fields: dict[str, Field[Any]] = {
        "uuid": gpu.uuid or UNKNOWN,
        "name": gpu.name,
        "memory_used_bytes": gpu.memory_used,
        "memory_total_bytes": gpu.memory_total,
        "utilisation_percent": gpu.utilisation,
        "temperature_c": gpu.temperature,
        "power_w": gpu.power,
        "power_limit_w": gpu.power_limit,
        "fan_percent": gpu.fan,
        "slowdown_c": gpu.slowdown_at,
        "limited_by": _limit_names(gpu.limited_by),
        "ecc_corrected": gpu.ecc_corrected,
        "ecc_uncorrected": gpu.ecc_uncorrected,
        "rows_pending": gpu.rows_pending,
        "rows_failed": gpu.rows_failed,
        "pcie_width": gpu.pcie_width,
        "pcie_width_most": gpu.pcie_width_most,
    }
    state = {
        "physical": gpu.physical or None,
        "asleep": gpu.asleep,
        "problem": gpu.problem,
        "process_problem": gpu.process_problem,
    }
    return {"index": gpu.index, **_values(fields), **state, "missing": _reasons(fields)}


def _limit_names(limits: Field[ClockLimit]) -> Field[list[str]]:
    """Name the bits that have a name."""
    if isinstance(limits, Missing):
        return limits
    return [limit.name.lower() for limit in ClockLimit if limit in limits and limit.name is not None]


def _process_json(process: GpuProcess) -> dict[str, Any]:
    name = process.name
    command: Field[Any] = process.command
    if isinstance(name, Missing) and not isinstance(process.command, Missing) and process.command:
        name = program(process.command[0].split(" ", 1)[0])
    if not process.mine and not isinstance(name, Missing):
        name = process_name(name)  # it may be a title that holds the whole command
    if not isinstance(process.command, Missing):
        command = list(process.command)
    started = (
        process.started
        if isinstance(process.started, Missing)
        else local_datetime(process.started).isoformat()
    )
    elapsed = process.elapsed if isinstance(process.elapsed, Missing) else round(process.elapsed, 1)
    fields: dict[str, Field[Any]] = {
        "gpu": UNKNOWN if process.gpu is None else process.gpu,
        "device": process.device or None,
        "pid": process.pid,
        "user": process.user,
        "mine": UNKNOWN if process.mine is None else process.mine,
        "type": type_text(process),
        "memory_bytes": process.memory,
        "started": started,
        "elapsed_s": elapsed,
        "cwd": process.cwd,
        "command": command,
        "name": name,
    }
    record, reasons = _values(fields), _reasons(fields)
    if not process.mine and not isinstance(command, Missing):
        record["command"], reasons["command"] = None, "redacted"
    return {**record, "missing": reasons}


def _values(fields: dict[str, Field[Any]]) -> dict[str, Any]:
    return {key: None if isinstance(value, Missing) else value for key, value in fields.items()}


def _reasons(fields: dict[str, Field[Any]]) -> dict[str, str]:
    return {
        key: f"{value.why.value}: {value.detail}" if value.detail else value.why.value
        for key, value in fields.items()
        if isinstance(value, Missing)
    }


def _problem_json(problem: Problem | None) -> dict[str, Any] | None:
    if problem is None:
        return None
    return {"text": problem.text, "mend": problem.mend, "no_driver": problem.no_driver}
