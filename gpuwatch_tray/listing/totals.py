"""What each user holds of the GPUs, as far as it is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import redact
from gpuwatch_tray.model import Missing
from gpuwatch_tray.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.model import GpuProcess


@dataclass(frozen=True, slots=True)
class UserTotal:
    """
    One user's processes together; `user` is None for all whose owner is not known.

    `memory` (bytes) is that of the processes whose memory is known, None where it is of none; `unknown`
    counts the others, one for each GPU. `gpus` are the indexes of the GPUs that are known, `elsewhere` says
    that there are processes on one that is not.
    """

    user: str | None
    memory: int | None
    unknown: int
    gpus: tuple[int, ...]
    processes: int
    elsewhere: bool = False


def user_totals(processes: Iterable[GpuProcess]) -> tuple[UserTotal, ...]:
    """Sum up the processes by user, the most memory first; the unknown owners last."""
    held: dict[str | None, list[GpuProcess]] = {}
    for process in processes:
        owner = None if isinstance(process.user, Missing) or not process.user else process.user
        held.setdefault(owner, []).append(process)
    unsorted = [_user_total(user, entries) for user, entries in held.items()]
    return tuple(
        sorted(unsorted, key=lambda total: (total.user is None, -(total.memory or 0), total.user or ""))
    )


def totals_text(processes: Iterable[GpuProcess]) -> str:
    """Write a line for each user: `USER=alice  GPUS=2  PROCESSES=3  MEM=2828MiB`; `+?` if more is unknown."""
    return "".join(
        f"USER={'?' if total.user is None else redact.visible(total.user)}  GPUS={gpus_text(total)}"
        f"  PROCESSES={total.processes}  MEM={_memory_text(total)}\n"
        for total in user_totals(processes)
    )


def totals_json(processes: Iterable[GpuProcess]) -> list[dict[str, Any]]:
    """Return the totals of each user as JSON."""
    return [
        {
            "user": total.user,
            "memory_bytes": total.memory,
            "memory_unknown": total.unknown,
            "gpus": list(total.gpus),
            "processes": total.processes,
        }
        for total in user_totals(processes)
    ]


def gpus_text(total: UserTotal) -> str:
    """Say how many GPUs: `2`, `2+?` with processes on a GPU that is not known, `?` with those only."""
    if not total.elsewhere:
        return str(len(total.gpus))
    return f"{len(total.gpus)}+?" if total.gpus else "?"


def _memory_text(total: UserTotal) -> str:
    if total.memory is None:
        return "[N/A]MiB"
    return f"{total.memory // MIB}{'+?' if total.unknown else ''}MiB"


def _user_total(user: str | None, entries: list[GpuProcess]) -> UserTotal:
    sizes = [entry.memory for entry in entries if not isinstance(entry.memory, Missing)]
    return UserTotal(
        user,
        sum(sizes) if sizes else None,
        len(entries) - len(sizes),
        tuple(sorted({entry.gpu for entry in entries if entry.gpu is not None})),
        len({(entry.pid, entry.identity) for entry in entries}),
        any(entry.gpu is None for entry in entries),
    )
