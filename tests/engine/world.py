"""A machine with two GPUs as it really is, and an oracle that knows what may be told of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from gpuwatch_tray.model import UNKNOWN, Gpu, Problem, Snapshot
from tests.support.fakes import BOOT, START, process


@dataclass
class World:
    """What is there: temperatures, processes, a GPU that may be lost, and a driver that may fail."""

    warmth: list = field(default_factory=lambda: [40, 40])  # a number, or UNKNOWN
    second: str = "there"  # or lost, anonymous, vanished
    driver: bool = True
    born: dict = field(default_factory=dict)  # pid -> (GPU, uptime at its start, a mark of its own)
    marks: int = 0

    def begin(self, pid, gpu, up) -> None:
        """A process starts, under a PID that may have been another's."""
        self.marks += 1
        self.born[pid] = (gpu, up, f"start-{self.marks}")

    def read(self, clock) -> Snapshot:
        """What the driver tells of it now."""
        boot = f"{BOOT}-{clock.boots}"
        if not self.driver:
            return Snapshot("test", clock.now, problem=Problem("driver not loaded"), boot_id=boot)
        gpus = [Gpu(n, f"GPU-{n:04d}", f"GPU {n}", temperature=self.warmth[n]) for n in (0, 1)]
        lost = replace(gpus[1], temperature=UNKNOWN, problem="GPU is lost")
        if self.second == "lost":
            gpus[1] = lost
        elif self.second == "anonymous":
            gpus[1] = replace(lost, uuid="", name=UNKNOWN)
        elif self.second == "vanished":
            del gpus[1]
        running = [
            process(pid, gpu, clock.up - up, identity=mark, started=START)
            for pid, (gpu, up, mark) in self.born.items()
            if gpu == 0 or self.second == "there"
        ]
        return Snapshot("test", clock.now, tuple(gpus), tuple(running), boot_id=boot)

    def dark(self, rule, subject) -> bool:
        """Whether nothing is known of this rule's subject."""
        if rule == "monitor_blind":
            return False
        if not self.driver:
            return True
        if rule == "heat":
            number = int(subject.removeprefix("GPU-"))
            return self.warmth[number] is UNKNOWN or (number == 1 and self.second != "there")
        return rule in {"max_etime", "gpu_limit"} and self.second != "there"


@dataclass(frozen=True)
class Moment:
    """When something happened: the true time, and what a machine could know of it."""

    true: float
    boot: int
    shift: float  # by how much the wall clock is wrong

    def since(self, earlier) -> float | None:
        """The seconds since then; None where the clock was set and the machine rebooted in between."""
        known = self.boot == earlier.boot or self.shift == earlier.shift
        return self.true - earlier.true if known else None
