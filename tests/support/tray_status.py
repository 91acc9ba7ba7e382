"""Statuses to show: a workstation with two GPUs, somebody at work on each."""

from __future__ import annotations

from gpuwatch_tray.model import Alert, Gpu, GpuProcess, Level, ProcessKind, Severity, Snapshot, Status

GIB = 1024**3
NOW = 1767827268.0  # 2026-01-07 23:07:48 UTC
COMPUTE = frozenset({ProcessKind.COMPUTE})


def gpu(index=0, **more):
    values = {
        "name": "RTX 4090",
        "memory_used": int(12.3 * GIB),
        "memory_total": 24 * GIB,
        "utilisation": 87,
        "temperature": 71,
        "power": 310.4,
        "power_limit": 450.0,
        "fan": 55,
        **more,
    }
    return Gpu(index, f"GPU-{index:08x}", **values)


def process(pid=2943615, gpu=0, ran=3 * 3600 + 24 * 60.0, **more):
    values = {
        "kinds": COMPUTE,
        "memory": int(2.8 * GIB),
        "user": "alice",
        "mine": True,
        "started": NOW - ran,
        "elapsed": ran,
        "identity": f"{pid}@{NOW - ran:.0f}",
        "cwd": "/home/alice/run_7",
        "command": ("python", "train.py", "--batch_size=64"),
        "name": "python",
        **more,
    }
    return GpuProcess(pid, gpu, **values)


def named_process(script, pid, gpu=0, ran=500.0):
    """A process that its row can be told by: the row begins with the program and its script."""
    return process(pid, gpu, ran, command=("python", script))


def snapshot(gpus=None, processes=None, **more):
    return Snapshot(
        "nvml",
        NOW,
        (gpu(0), gpu(1, utilisation=3)) if gpus is None else tuple(gpus),
        (process(), process(2943700, 1, 600.0, user="bob", mine=False))
        if processes is None
        else tuple(processes),
        **more,
    )


def alert(
    fingerprint="a1",
    reason="GPU_COUNT(3) > GPU_LIMIT(2)",
    severity=Severity.WARNING,
    **more,
):
    return Alert(fingerprint, "gpu_limit", "all", severity, reason, NOW, **more)


def status(level=Level.OK, shown=None, **more):
    headlines = {
        Level.OK: "All within limits: 2 of 2 GPUs in use",
        Level.SNOOZED: "All within limits: 2 of 2 GPUs in use",
        Level.WARNING: "GPU_COUNT(3) > GPU_LIMIT(2)",
        Level.CRITICAL: "GPU 1 is lost",
        Level.NO_DATA: "No data: the driver does not answer",
    }
    alerts = (alert(),) if level is Level.WARNING else ()
    values = {"headline": headlines[level], "at": NOW, "alerts": alerts, **more}
    return Status(level, snapshot=snapshot() if shown is None else shown, **values)
