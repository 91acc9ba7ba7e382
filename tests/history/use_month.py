"""
A month of a machine with four GPUs whose every job is known, so that sums can be held against the truth.

Jobs come and go by a fixed seed; the truth is worked out from their times alone, over the spans in which
somebody watched. Between them the program is restarted and killed, the machine sleeps and reboots, the wall
clock is set, and the driver does not answer.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from dataclasses import dataclass, field

from gpuwatch_tray.history import Sampler
from gpuwatch_tray.history.sample_store import SampleStore
from gpuwatch_tray.model import UNKNOWN, UNSUPPORTED, GpuProcess, Limits, Problem, ProcessKind, Snapshot
from tests.support.fakes import Clock
from tests.support.machine_history import NOON, gpu

HOUR, DAY, GIB = 3600.0, 86400.0, 2.0**30
DAYS = 29
STEP = 120.0  # seconds between two readings
IDLE_WATTS, BUSY_WATTS = 25.0, 300.0
USERS = ("ada", "bob", None, "eve")
# What happens at which hour: what it is, and for how many seconds.
EVENTS = (
    *((hour, "restart", 30.0) for hour in (30.2, 75.05, 201.7, 333.3, 400.01, 555.5)),
    *((hour, "kill", 40.0) for hour in (99.9, 260.4, 610.8)),
    *((hour, "suspend", 8 * HOUR) for hour in (50.0, 170.0, 480.0)),
    *((hour, "reboot", 300.0) for hour in (130.6, 365.2)),
    *((hour, "set", jump) for hour, jump in ((61.0, HOUR), (85.3, -HOUR), (300.0, -5400.0), (301.0, 5400.0))),
    *((hour, "set", jump) for hour, jump in ((450.0, 400 * DAY), (450.6, -400 * DAY))),
    *((hour, "dark", 2 * HOUR) for hour in (210.0, 520.0)),
)


@dataclass(frozen=True)
class Job:
    """One process on one GPU, by true time (seconds since the start)."""

    pid: int
    user: str | None
    gpu: int
    start: float
    end: float
    memory: int
    load: int


def jobs() -> list[Job]:
    """Jobs of minutes to a day; some share a GPU, some of one user overlap, some hold it without using it."""
    rnd = random.Random(8)  # noqa: S311  # not for a secret
    found, pid = [], 1000
    for index in range(4):
        at = 0.0
        while at < DAYS * DAY:
            at += rnd.expovariate(1 / (4 * HOUR))
            length = rnd.choice((0.3, 1.0, 3.0, 9.0, 20.0)) * HOUR * rnd.uniform(0.5, 1.5)
            user, load = rnd.choice(USERS), rnd.choice((0, 20, 45, 80, 100))
            for _ in range(rnd.choice((1, 1, 2))):
                shift = rnd.uniform(0, length / 2)
                memory = rnd.randrange(1, 10) * 2**30
                found.append(Job(pid, user, index, at + shift, at + shift + length, memory, load // 2))
                pid += 1
            at += length
    return found


@dataclass
class Truth:
    """Sums in hours, GiB-hours and kWh, by user, by (PID, GPU) and by GPU."""

    hours: dict = field(default_factory=lambda: defaultdict(float))
    memory: dict = field(default_factory=lambda: defaultdict(float))
    idle: dict = field(default_factory=lambda: defaultdict(float))
    energy: dict = field(default_factory=lambda: defaultdict(float))
    seen: float = 0.0

    def add(self, seconds, index, there) -> None:
        """For so long these jobs were on this GPU, and somebody watched."""
        load = min(100, sum(job.load for job in there))
        energy = watts(load) * seconds / 3.6e6
        whos = {("gpu", index), *(("user", job.user, index) for job in there)}
        whos |= {("run", job.pid) for job in there}
        self.energy["gpu", index] += energy
        for who in whos if there else ():
            self.hours[who] += seconds / HOUR
            self.idle[who] += seconds / HOUR if load < 5 else 0.0
        for job in there:
            for who in (("user", job.user, index), ("run", job.pid)):
                self.memory[who] += job.memory / GIB * seconds / HOUR
                self.energy[who] += energy / len(there)

    def of_user(self, name, sums) -> float:
        return sum(value for who, value in getattr(self, sums).items() if who[:2] == ("user", name))


def watts(load) -> float:
    return IDLE_WATTS + (BUSY_WATTS - IDLE_WATTS) * load / 100


class Month:
    """`run` lives through it, and `truth` is what was to be seen meanwhile."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.jobs = jobs()
        self.truth = Truth()
        self.clock = Clock(NOON)
        self.time = 0.0  # true time
        self.meters = [0.0] * 4
        self._since = None  # true time from which on it has been watched
        self._block = -1, []
        self._open()

    def _open(self) -> None:
        self.sampler = Sampler(Limits(), 3 * STEP)
        self.store = SampleStore(self.folder, "box")

    def run(self) -> None:
        events = sorted(EVENTS)
        dark_until = 0.0
        while self.time < DAYS * DAY:
            if events and self.time >= events[0][0] * HOUR:
                _, what, value = events.pop(0)
                if what == "dark":
                    dark_until = self.time + value
                else:
                    getattr(self, f"_{what}")(value)
            self._pass(STEP)
            self._read(dark=self.time < dark_until)
        for minute in self.sampler.finish_minute():
            self.store.add(minute())
        self.store.close()

    def _restart(self, seconds) -> None:
        for minute in self.sampler.finish_minute():
            self.store.add(minute())
        self.store.close()
        self._away(seconds)

    def _kill(self, seconds) -> None:
        self.store._close_file()
        self._away(seconds)

    def _suspend(self, seconds) -> None:
        self._pass(seconds)
        self._since = None

    def _reboot(self, seconds) -> None:
        self._restart(0.0)
        self._pass(seconds)
        self.clock.up, self.meters = 10.0, [0.0] * 4
        self.clock.boots += 1
        self._since = None

    def _set(self, seconds) -> None:
        self.clock.jump(seconds)

    def _away(self, seconds) -> None:
        self._pass(seconds)
        self._open()
        self._since = None

    def _pass(self, seconds) -> None:
        """Time goes by; the meters run whether anybody looks or not."""
        for index in range(4):
            for start, end, there in self._course(index, self.time, self.time + seconds):
                self.meters[index] += watts(min(100, sum(job.load for job in there))) * (end - start)
        self.clock.advance(seconds)
        self.time += seconds

    def _near(self, time):
        """Return the jobs of the hours around, so that not all are searched at every step."""
        block = int(time // (12 * HOUR))
        if self._block[0] != block:
            start, end = (block - 1) * 12 * HOUR, (block + 1) * 12 * HOUR
            self._block = block, [job for job in self.jobs if job.start < end and job.end > start]
        return self._block[1]

    def _course(self, index, start, end):
        """Return the spans between two moments in which the same jobs were there."""
        near = [job for job in self._near(end) if job.gpu == index and job.start < end and job.end > start]
        edges = sorted({start, end, *(e for job in near for e in (job.start, job.end) if start < e < end)})
        for a, b in itertools.pairwise(edges):
            yield a, b, [job for job in near if job.start <= a and job.end >= b]

    def _read(self, *, dark) -> None:
        now = self.clock.instant()
        if dark:
            self.sampler.add(Snapshot("test", now.wall, problem=Problem("driver not loaded")), (), now)
            self._since = self.time
            return
        there = [job for job in self._near(self.time) if job.start < self.time <= job.end]
        for minute in self.sampler.add(self._snapshot(there, now.wall), (), now):
            self.store.add(minute())
        if self._since is not None:
            self.truth.seen += self.time - self._since
            for index in range(4):
                for start, end, jobs_then in self._course(index, self._since, self.time):
                    self.truth.add(end - start, index, jobs_then)
        self._since = self.time

    def _snapshot(self, there, at) -> Snapshot:
        """GPU 0 has power and a meter, 1 power alone, 2 a meter alone, 3 both, its meter read seldom."""
        gpus = []
        for index in range(4):
            load = min(100, sum(job.load for job in there if job.gpu == index))
            meter = self.meters[index]
            gpus.append(
                gpu(
                    index,
                    utilisation=load,
                    memory_used=sum(job.memory for job in there if job.gpu == index),
                    power=UNSUPPORTED if index == 2 else watts(load),
                    energy=UNSUPPORTED if index == 1 else self._kept(meter) if index == 3 else meter,
                )
            )
        processes = [
            GpuProcess(
                job.pid,
                job.gpu,
                frozenset({ProcessKind.COMPUTE}),
                job.memory,
                UNKNOWN if job.user is None else job.user,
                identity=f"{job.start:.0f}",
                name="python",
            )
            for job in there
        ]
        boot = self.clock.uptime()[1]
        return Snapshot("test", at, tuple(gpus), tuple(processes), boot_id=boot)

    def _kept(self, meter) -> float:
        """Return what the reader kept of a meter that it asks every twelfth time."""
        if int(self.time // STEP) % 12 == 0 or meter < getattr(self, "_seldom", 0.0):
            self._seldom = meter
        return getattr(self, "_seldom", meter)
