"""
What the samples cost: `python -m tests.bench.samples_cost [PROCESSES]`.

Adds up readings of 8 GPUs with so many processes in all (100), none of whose values repeats, and fills a
month of the real store with them: the ten-minute values of 30 days from one minute each, and the minutes of
the last 48 h. Prints what a reading costs the poller, what a minute costs the writer, how large the file is,
and how long a reader computes.
"""

from __future__ import annotations

import gc
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median

from msgspec.structs import replace

from gpuwatch_tray.app.tray_app import COLLECT_EVERY
from gpuwatch_tray.history import Sampler
from gpuwatch_tray.history.sample_reader import UseDetail, read_samples
from gpuwatch_tray.history.sample_store import SampleStore
from gpuwatch_tray.history.usage import GroupBy, usage
from gpuwatch_tray.model import (
    MINUTE_SAMPLES_KEPT,
    TEN_MINUTE_SAMPLES_KEPT,
    TEN_MINUTES,
    Instant,
    Limits,
    Minute,
    Span,
    Stretch,
)
from gpuwatch_tray.model.units import MINUTE
from tests.support.fakes import BOOT, MIB, process, snapshot
from tests.support.machine_history import NOON, gpu

POLLS = 12  # a minute at the default interval


def reading(count, rnd):
    """GPUs and processes with values of their own."""
    gpus = tuple(
        gpu(
            n,
            memory_used=rnd.randrange(24576) * MIB,
            utilisation=rnd.randrange(101),
            temperature=rnd.randrange(30, 90),
            power=rnd.uniform(20, 700),
        )
        for n in range(8)
    )
    held = [process(n, n % 8, user=f"user{n % 5}", memory=rnd.randrange(80_000) * MIB) for n in range(count)]
    return snapshot(*held, gpus=gpus)


def polls(count) -> tuple[list[float], Minute]:
    """Milliseconds of the poller's thread for each of a minute's readings, in several minutes; one minute."""
    rnd = random.Random(1)  # noqa: S311  # not for a secret
    sampler, taken, minutes = Sampler(Limits(), 15.0), [], []
    found = [reading(count, rnd) for _ in range(POLLS)]
    for number in range(20 * POLLS):
        now = Instant(NOON + 5.0 * number, 5.0 * number, BOOT)
        began = time.thread_time()  # what it computes: another program's turn is not its cost
        minutes += sampler.add(found[number % POLLS], (), now)
        taken.append((time.thread_time() - began) * 1000)
    return taken[2 * POLLS :], minutes[-1]()


def jittered(stretch, at, rnd) -> Stretch:
    """The same at another time, with other values; what a GPU did is the same for all of its processes."""
    busy = {sample.uuid: _span(sample.utilisation, rnd) for sample in stretch.gpus}

    def moved(each):
        own = {
            name: _span(span, rnd)
            for name in ("memory", "temperature", "power", "fan")
            if (span := getattr(each, name, None)) is not None
        }
        return replace(each, at=at, utilisation=busy[each.uuid], **own)

    parts = (tuple(map(moved, getattr(stretch, kind))) for kind in ("gpus", "users", "processes"))
    return Stretch(at, MINUTE, *parts)


def _span(span, rnd) -> Span:
    low, mean_, high = sorted(value * rnd.uniform(0.8, 1.2) for value in (span.low, span.mean, span.high))
    return Span(low, mean_, high, span.seconds)


def main() -> None:
    """Measure and print."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)  # as the tray does
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    taken, minute = polls(count)
    print(f"8 GPUs, {count} processes in all, no value twice")
    turns = median(sorted(taken)[-len(taken) // POLLS :])
    print(
        f"a reading on the poller's thread: median {median(taken):.2f} ms, mean {mean(taken):.2f} ms,"
        f" at the turn of a minute {turns:.2f} ms"
    )
    rnd, wrote = random.Random(2), []  # noqa: S311
    with tempfile.TemporaryDirectory() as folder:
        store = SampleStore(Path(folder), "box")
        start, end = int(NOON), int(NOON) + TEN_MINUTE_SAMPLES_KEPT
        fine = end - MINUTE_SAMPLES_KEPT
        for at in [*range(start, fine, TEN_MINUTES), *range(fine, end, MINUTE)]:
            one = Minute(jittered(minute.stretch, at, rnd), minute.facts, minute.runs)
            began = time.perf_counter()
            store.add(one)
            wrote.append((time.perf_counter() - began) * 1000)
        store.close()
        late = wrote[-MINUTE_SAMPLES_KEPT // MINUTE :]
        print(f"a minute on the writer's: median {median(late):.1f} ms, mean {mean(late):.1f} ms")
        print(f"the file after a month: {store.path.stat().st_size / 1e6:.1f} MB")
        for what, asked in (
            ("30 days by ten minutes, for a page", {"finest": TEN_MINUTES, "processes": UseDetail.NONE}),
            ("30 days with the last 48 h by the minute, and all processes, for an export", {}),
            ("30 days with the sums of each process", {"finest": TEN_MINUTES, "processes": UseDetail.SUMMED}),
        ):
            gc.collect()
            began = time.process_time()
            history = read_samples(Path(folder), "box", start, end, end, **asked)
            print(f"{what}: {time.process_time() - began:.2f} s")
        began = time.process_time()
        usage(history, GroupBy.PROCESS)
        print(f"the sums of each process: {time.process_time() - began:.2f} s")


if __name__ == "__main__":
    main()
