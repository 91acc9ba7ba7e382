"""
What a poll costs more while the details page is followed: `python -m tests.bench.page_feed`.

Eight GPUs with 100 processes of one's own on each and two alerts, the last hour's minutes in the file,
written to a disk. Nothing is asserted.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

from msgspec.structs import replace

from gpuwatch_tray.app.control import present_answer
from gpuwatch_tray.app.page_feed import PageFeed
from gpuwatch_tray.app.status_json import ResponderInfo, build_status
from gpuwatch_tray.common import host
from gpuwatch_tray.model import GpuSample, Level, Span, Status
from tests.support import tray_status
from tests.support.fakes import alert

GPUS, EACH, MINUTES, TIMES = 8, 100, 60, 40


def status():
    """The state of a busy machine; the command of each process is as long as those of training runs."""
    words = ("python", "train.py", *(f"--option-{number}=value-{number}" for number in range(12)))
    processes = [
        tray_status.process(
            1000 * gpu + number, gpu, 60.0 * number, command=(*words, f"--seed={gpu}{number}")
        )
        for gpu in range(GPUS)
        for number in range(EACH)
    ]
    shown = tray_status.snapshot([tray_status.gpu(gpu) for gpu in range(GPUS)], processes)
    alerts = (alert(id=1), alert("temperature", "GPU-00000001", id=2))
    return Status(Level.WARNING, "2 alerts", tray_status.NOW, shown, alerts)


def details(of):
    return present_answer(of, build_status(of, ResponderInfo("tray", "box", "nvml")), stale=False)


def minute(at):
    span = Span(11_000.0 * 2**20, 12_000.0 * 2**20, 13_000.0 * 2**20, 60.0)
    load = Span(71.0, 83.0, 97.0, 60.0)
    values = {"memory": span, "utilisation": load, "temperature": load, "power": replace(load, high=311.0)}
    return [GpuSample(f"GPU-{gpu:08x}", at, 60, 60.0, 12, **values) for gpu in range(GPUS)]


def main():
    shown = status()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        current = [shown]
        feed = PageFeed("box.live.js", lambda: current[0], details, host.now, lambda: 5.0)
        feed.follow(folder)
        for number in range(MINUTES):
            feed.add_minute(minute(60 * number))
        walls, cpus = [], []
        for _ in range(TIMES):
            current[0] = replace(shown)
            began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_THREAD).ru_utime
            feed.tick()
            walls.append(time.perf_counter() - began)
            cpus.append(resource.getrusage(resource.RUSAGE_THREAD).ru_utime - used)
        size = (folder / "box.live.js").stat().st_size
        feed.stop(1.0)
    mean = sum(cpus) / TIMES
    print(f"{GPUS} x {EACH} processes: {size / 1000:.1f} kB a poll, on a thread of its own in")
    print(f"{1000 * min(walls):.1f} ms ({1000 * mean:.1f} ms CPU on average)")


if __name__ == "__main__":
    main()
