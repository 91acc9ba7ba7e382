"""What can be waited for, with what has been seen of it so far, and a look at the GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from gpuwatch_tray.model import Instant, Notice, Snapshot


@dataclass(frozen=True, slots=True)
class GpusFree:
    """
    At least `count` GPUs have had no compute process for `hold` seconds.

    `since` has each GPU (UUID) that was free at the last look, and from which look on it was so; `seen` is
    when that last look was.
    """

    count: int
    hold: float
    since: tuple[tuple[str, Instant], ...] = ()
    seen: Instant | None = None


@dataclass(frozen=True, slots=True)
class ProcessEnds:
    """
    A process is gone: its PID is nobody's any more, or that of a process of another identity.

    `local` says that the system here can be asked whether it lives; else only the list of the GPUs tells.
    `boot` names the boot that it was started in, where that is known. `called` is what may be shown of it.
    `elapsed` is for how many seconds it had run when it was `seen` last, `peak` the most memory (bytes, on
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
    A command that `when run` has started and will report on.

    Whoever watches only helps out: it notes the `peak` memory of the command and of what it started, and
    tells of the end when the report does not come. `gone` is since when it has been gone without one.
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
    """A wish on file, asked for at `asked`; with a `notice` it has come about and is to be told."""

    id: int
    asked: Instant
    wish: ReminderCondition
    notice: Notice | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """
    One look at the GPUs, at `now`.

    After more than `gap` seconds without a look nothing is known of what lay between. A `loop` looks more
    often than that, `check` does not. `lives` is what the system says of the process that is waited for:
    None where it was not asked or cannot tell. `family` are the processes on the GPUs (PID, identity) that
    a command has started, itself or through others.
    """

    snapshot: Snapshot
    now: Instant
    gap: float
    loop: bool = True
    lives: bool | None = None
    family: frozenset[tuple[int, str]] = frozenset()
