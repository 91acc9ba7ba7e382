"""Reminders: what a person asked to be told once, with what has been observed so far; and their JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from gpuwatch_tray.model import Instant, ReminderNotice, Snapshot


@dataclass(frozen=True, slots=True)
class GpusFree:
    """
    At least `count` GPUs have had no compute process for `hold` seconds.

    `since` has each GPU (UUID) that was free at the last observation, and since when; `seen` is when that
    observation was.
    """

    count: int
    hold: float
    since: tuple[tuple[str, Instant], ...] = ()
    seen: Instant | None = None


@dataclass(frozen=True, slots=True)
class ProcessEnds:
    """
    A process is gone: its PID is nobody's any more, or that of a process of another identity.

    `local`: the system here can be asked whether it lives; else only the lists of the GPUs tell. `boot` names
    the boot that it was started in, where that is known; `called` is what may be shown of its command.
    `elapsed` is for how many seconds it had run when it was last `seen`, `peak` the most memory (bytes, on
    all its GPUs) that it was seen with.
    """

    pid: int
    identity: str
    called: str
    boot: str = ""
    local: bool = False
    gpus: tuple[int, ...] = ()
    elapsed: float | None = None
    peak: int | None = None
    seen: Instant | None = None


@dataclass(frozen=True, slots=True)
class CommandEnds:
    """
    A command that `when run` has started, and will report the end of.

    The engine only helps out: it notes the `peak` memory (bytes) of the command and of what it started, and
    tells of the end when the report does not come. `gone` is since when it has been gone without a report.
    """

    pid: int
    identity: str
    called: str
    boot: str = ""
    peak: int | None = None
    gone: Instant | None = None


ReminderCondition: TypeAlias = GpusFree | ProcessEnds | CommandEnds


@dataclass(frozen=True, slots=True)
class Reminder:
    """A condition on file, asked for at `asked`; with a `notice` it has come about and is to be told."""

    id: int
    asked: Instant
    condition: ReminderCondition
    notice: ReminderNotice | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """
    What is known at `now` for a step of one reminder.

    After more than `gap` seconds without an observation nothing is known of the time between. A `loop`
    observes more often than that, `check` does not. `lives` is what the system says of the process: None
    where it was not asked or cannot tell. `children` are the processes on the GPUs (PID, identity) that a
    command has started, itself or through others.
    """

    snapshot: Snapshot
    now: Instant
    gap: float
    loop: bool = True
    lives: bool | None = None
    children: frozenset[tuple[int, str]] = frozenset()
