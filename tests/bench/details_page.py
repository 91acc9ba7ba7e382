"""
What a page of thirty days costs: `python -m tests.bench.details_page`.

Eight GPUs with a program every few hours, a reading a minute through sampler and store, then the
whole command: its time, the page's size, and the time until Chromium has drawn it. Nothing is asserted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from msgspec.structs import replace

from gpuwatch_tray.common import host
from gpuwatch_tray.history import Sampler
from gpuwatch_tray.history.sample_store import SampleStore
from gpuwatch_tray.model import UNKNOWN, Gpu, GpuProcess, Instant, Limits, ProcessKind, Snapshot
from tests.report import histories
from tests.support.browser import Browser

GPUS, DAYS, TIMES = 8, 30, 3
BOOT = 1_000_000.0  # seconds of uptime before the month


def live_through(folder):
    """The month up to now, written as a tray would have written it; returns the number of its programs."""
    end = time.time()
    history = histories.history(GPUS, DAYS * histories.DAY, end=int(end))
    sampler, store = Sampler(Limits(), 180.0), SampleStore(folder, host.host())
    samples = {uuid: iter(each) for uuid, each in history.samples.items()}
    following = {uuid: next(each) for uuid, each in samples.items()}
    at = history.start
    while at < end:
        gpus, processes = [], []
        for facts in history.gpus:
            while following[facts.uuid].at + following[facts.uuid].seconds <= at:
                following[facts.uuid] = next(
                    samples[facts.uuid], replace(following[facts.uuid], seconds=10**9)
                )
            gpus.append(_gpu(facts, following[facts.uuid]))
        for run in history.runs:
            if run.first <= at < run.last:
                gpu = next(facts.index for facts in history.gpus if facts.uuid == run.uuid)
                processes.append(_process(run, gpu))
        snapshot = Snapshot("bench", at, tuple(gpus), tuple(processes), boot_id="boot")
        for minute in sampler.add(snapshot, (), Instant(at, BOOT + at - history.start, "boot")):
            store.add(minute())
        at += 60
    for minute in sampler.finish_minute():
        store.add(minute())
    store.close()
    return len(history.runs)


def _gpu(facts, sample):
    return Gpu(
        facts.index,
        facts.uuid,
        name=facts.name,
        memory_used=int(sample.memory.mean),
        memory_total=facts.memory_total,
        utilisation=round(sample.utilisation.mean),
        temperature=round(sample.temperature.mean),
        power=sample.power.mean,
    )


def _process(run, gpu):
    return GpuProcess(
        run.pid,
        gpu,
        frozenset({ProcessKind.COMPUTE}),
        memory=4 * 2**30,
        user=UNKNOWN if run.user is None else run.user,
        mine=run.mine,
        identity=str(run.pid),
        name=run.name,
    )


def commanded(folder, file):
    """Seconds of the whole command, Python's start and the settings included."""
    command = [sys.executable, "-m", "gpuwatch_tray", "report", "--hours", str(24 * DAYS), "--out", str(file)]
    began = time.perf_counter()
    environment = {**os.environ, "GPUWATCH_CACHE": str(folder)}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=60)
    return time.perf_counter() - began


def main():
    with tempfile.TemporaryDirectory() as name:
        folder, file = Path(name), Path(name) / "page.html"
        began = time.perf_counter()
        runs = live_through(folder)
        print(f"{GPUS} GPUs, {DAYS} days, {runs} programs, written in {time.perf_counter() - began:.0f} s")
        made = min(commanded(folder, file) for _ in range(TIMES))
        print(f"made in {made:.2f} s, {file.stat().st_size / 1e6:.2f} MB (best of {TIMES}, as all)")
        with Browser(folder) as browser:
            for width in (1280, 390):
                drawn = min(browser.open(file, width=width) for _ in range(TIMES))
                print(f"drawn in {drawn:.2f} s at {width} px")


if __name__ == "__main__":
    main()
