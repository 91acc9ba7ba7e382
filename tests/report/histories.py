"""A lab's day, or month, as the store would tell it: made up, the same each time."""

from __future__ import annotations

import math
import random

from msgspec.structs import replace

from gpuwatch_tray.model import (
    TEN_MINUTES,
    AlertMark,
    GpuFacts,
    GpuSample,
    History,
    ProcessRun,
    Severity,
    Span,
    Use,
)
from gpuwatch_tray.model.units import MINUTE

GIB = 2**30
END = 1_767_799_680  # 2026-01-07 15:28:00 UTC
HOUR, DAY = 3600, 86400
PROGRAMS = ("train.py", "evaluate.py", "ipykernel_launcher", "sample.py", "python3.11", "finetune.py")
OWNERS = ("ada", "grace", "alan", None, "edsger")


def uuid(gpu):
    return f"GPU-51317a7e-0000-4000-8000-00000000000{gpu}"


def facts(count=2):
    return tuple(GpuFacts(uuid(gpu), gpu, "NVIDIA RTX A5000", 24 * GIB, 93) for gpu in range(count))


def runs(gpu, start, end, rng, each=5 * HOUR):
    """Programs one after the other on a GPU, with pauses, and now and then two at once."""
    found, at, number = [], start - rng.uniform(0, each), 0
    while at < end:
        length = rng.uniform(0.2, 1.6) * each
        pid = 100_000 * (gpu + 1) + number
        user = OWNERS[(number + gpu) % len(OWNERS)]
        name = PROGRAMS[(number * 7 + gpu) % len(PROGRAMS)]
        first, last = max(at, start), min(at + length, end)
        if last > first:
            found.append(
                ProcessRun(f"boot/{pid}", pid, uuid(gpu), user, user == "ada", name, at, True, first, last)
            )
        number += 1
        at += length if rng.random() < 0.75 else length * 0.6
        at += rng.choice((0, 0, 0.1, 0.3)) * each
    return found


def history(gpus=2, seconds=DAY, *, end=END, gap=True, seed=8, each=5 * HOUR):
    """Make the history of so many GPUs; with a `gap` of half an hour in which nothing was recorded."""
    rng = random.Random(seed)  # noqa: S311  # a story, the same each time
    start = end - seconds
    samples, everyone, uses, marks = {}, [], [], []
    for gpu in range(gpus):
        mine = runs(gpu, start, end, rng, each)
        memory = {run.key: rng.uniform(2, 11) * GIB for run in mine}
        load = {run.key: rng.uniform(0.35, 0.97) for run in mine}
        everyone += mine
        uses += [
            Use(
                run.key,
                run.uuid,
                int(run.first),
                MINUTE,
                60.0,
                Span(memory[run.key], memory[run.key], memory[run.key], 60.0),
            )
            for run in mine
        ]
        line, heat = [], 34.0 + 2 * gpu
        step = TEN_MINUTES if seconds > 2 * DAY else MINUTE
        at = start // step * step
        while at < end:
            length = MINUTE if end - at <= 2 * DAY else TEN_MINUTES
            here = [run for run in mine if run.first <= at < run.last]
            work = min(sum(load[run.key] for run in here), 1.0)
            work *= 0.93 + 0.07 * math.sin(at / 700 + gpu)
            goal = 35 + 2 * gpu + 42 * work
            if gpu == gpus - 1 and (0.58 < (at - start) / seconds < 0.64 or (at - start) / seconds > 0.92):
                work, goal = 0.96, 91.4 if at > end - 0.1 * seconds else 88
            heat += (goal - heat) * min(1.0, length / 900)
            if not (gap and 0.42 < (at - start) / seconds < 0.46):
                line.append(
                    _sample(
                        gpu, at, length, work, heat, 0.4 * GIB + sum(memory[run.key] for run in here), rng
                    )
                )
            at += length
        samples[uuid(gpu)] = tuple(line)
    hot = uuid(gpus - 1)
    marks = [
        AlertMark(
            1,
            "gpu_limit",
            Severity.WARNING,
            f"{gpus} GPUs in use; the limit is {gpus - 1}",
            start + seconds * 0.2,
            start + seconds * 0.23,
        ),
        AlertMark(
            2,
            "temperature",
            Severity.WARNING,
            f"GPU {gpus - 1} is at 86 °C; the limit is 85 °C",
            start + seconds * 0.61,
            start + seconds * 0.66,
            (hot,),
        ),
        AlertMark(
            3,
            "intruder",
            Severity.INFO,
            "grace computes on GPU 0 beside you",
            start + seconds * 0.74,
            start + seconds * 0.8,
            (uuid(0),),
        ),
        AlertMark(
            4,
            "temperature_critical",
            Severity.CRITICAL,
            f"GPU {gpus - 1} is at 91 °C; the limit is 90 °C",
            end - seconds * 0.04,
            None,
            (hot,),
        ),
    ]
    return History(start, end, facts(gpus), samples, tuple(everyone), (), tuple(uses), tuple(marks))


def _sample(gpu, at, length, work, heat, used, rng):
    busy = 100 * work
    wide = 6 if work else 0.5
    return GpuSample(
        uuid(gpu),
        int(at),
        length,
        float(length),
        length // 5,
        memory=Span(used, used, min(used * 1.01, 24 * GIB), length),
        utilisation=Span(
            max(busy - wide * rng.random(), 0), busy, min(busy + wide * rng.random(), 100), length
        ),
        temperature=Span(heat - 1, heat, heat + 1, length),
        power=Span(22 + 190 * work, 24 + 200 * work, 28 + 206 * work, length),
    )


def live(told, *, state="critical", headline="GPU 1 is at 91 °C; the limit is 90 °C"):
    """Return the answer to `status` at the end of this history."""
    gpus = []
    for gpu in told.gpus:
        last = told.samples[gpu.uuid][-1]
        gpus.append(
            {
                "index": gpu.index,
                "uuid": gpu.uuid,
                "name": gpu.name,
                "utilisation": round(last.utilisation.mean),
                "memory_used": int(last.memory.mean),
                "memory_total": gpu.memory_total,
                "temperature": round(last.temperature.mean),
                "power": last.power.mean,
                "problem": None,
            }
        )
    return {
        "state": state,
        "headline": headline,
        "at": told.end,
        "gpus": gpus,
        "alerts": [],
        "simulated": False,
    }


def renamed(told, name):
    """Give every process and every owner this name."""
    return replace(told, runs=tuple(replace(run, name=name, user=name) for run in told.runs))


def usage(*rows, price=0.3):
    """As `report usage --json` has it; a row is (kind, user, hours)."""

    def measures(hours):
        values = {"gpu_hours": hours, "gib_hours": 8.5 * hours, "utilisation_percent": 61.0}
        energy = 0.2 * hours
        return values | {"idle_held_hours": hours / 9, "energy_kwh": energy, "cost": price and energy * price}

    rows = rows or (
        ("user", "ada", 20.25),
        ("user", "grace", 11.5),
        ("unknown", None, 7.0),
        ("nobody", None, 0.0),
    )
    told = [{"kind": kind, "user": user} | measures(hours) for kind, user, hours in rows]
    return {"energy_price": price, "rows": told, "total": measures(sum(hours for _, _, hours in rows))}


def present(told):
    """Return the PIDs that are on a GPU at the end."""
    return [run.pid for run in told.runs if run.last == told.end]
