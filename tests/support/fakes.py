"""Builders of values and small fakes that the unit tests share."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuwatch_tray.model import Alert, Gpu, GpuProcess, Instant, Popup, ProcessKind, Severity, Snapshot
from gpuwatch_tray.notify.sinks import OnAnswer, ignore_answer

START = 1_767_799_668.0  # 2026-01-07 15:27:48 UTC
BOOT = "5f0c7a1e-boot"
MIB = 1024 * 1024


class Clock:
    """A clock that moves when told; called it gives wall time, `instant` gives both clocks."""

    def __init__(self, now: float = START, uptime: float = 9000.0) -> None:
        self.now = now
        self.up = uptime
        self.boots = 0

    def __call__(self) -> float:
        return self.now

    def instant(self) -> Instant:
        return Instant(self.now, *self.uptime())

    def uptime(self) -> tuple[float, str]:
        return self.up, f"{BOOT}-{self.boots}"

    def advance(self, seconds: float) -> None:
        """Time passes, awake or suspended."""
        self.now += seconds
        self.up += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.now += seconds

    def reboot(self, seconds: float = 40.0) -> None:
        """The machine is off for a while, and its uptime starts anew."""
        self.now += seconds
        self.up = 10.0
        self.boots += 1


def process(pid=100, gpu=0, elapsed=60.0, *, kinds="C", mine=True, **facts) -> GpuProcess:
    """An own compute process of a minute, unless told otherwise."""
    base = {
        "memory": 2828 * MIB,
        "user": "ada" if mine else "bob",
        "identity": f"start-{pid}",
        "started": START - 60,
        "cwd": "/home/ada/run",
        "command": ("python", "train.py"),
        "name": "python",
    }
    return GpuProcess(
        pid,
        gpu,
        frozenset(ProcessKind(k) for k in kinds.split("+")),
        mine=mine,
        elapsed=elapsed,
        **(base | facts),
    )


def snapshot(*processes: GpuProcess, gpus=4, at=START, **facts) -> Snapshot:
    """A healthy reading of `gpus` GPUs (a number, or the Gpu values themselves)."""
    if isinstance(gpus, int):
        gpus = tuple(Gpu(index, f"GPU-{index:04d}", f"Test GPU {index}") for index in range(gpus))
    return Snapshot("test", at, tuple(gpus), processes, boot_id=BOOT, **facts)


def alert(rule="gpu_limit", subject="", severity=Severity.WARNING, **facts) -> Alert:
    """An alert that fires, unless told otherwise."""
    base = {"reason": f"{rule} of {subject or 'all'}", "since": START, "id": 1, "fired": Instant(START)}
    name = "/".join(part for part in ("box", rule, subject) if part)
    return Alert(name, rule, subject, severity, **(base | facts))


@dataclass
class FakePopups:
    """Takes popups, or refuses them; while it is `slow`, whoever shows one is answered by the test."""

    works: bool = True
    slow: bool = False
    shown: list[Popup] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    unanswered: list[OnAnswer] = field(default_factory=list)

    def show(self, popup: Popup, on_answer: OnAnswer = ignore_answer) -> bool:
        if self.works:
            self.shown.append(popup)
            if self.slow:
                self.unanswered.append(on_answer)
            else:
                on_answer(True)
        return self.works

    def close(self, key: str) -> None:
        self.closed.append(key)

    def close_all(self, prefix: str) -> None:
        self.closed += [popup.key for popup in self.shown if popup.key.startswith(prefix)]
