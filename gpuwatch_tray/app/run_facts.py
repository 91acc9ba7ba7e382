"""What kernel, disks and scheduler tell about a run, gathered at its end and joined with what was seen."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gpuwatch_tray.runs import FolderSpace
from gpuwatch_tray.runs.observed import observed_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuwatch_tray.common.oom import HostWatch
    from gpuwatch_tray.runs import RunFacts


FULL = 64 * 2**20  # bytes: with less, a file system is as good as full
SHARED_MEMORY = "/dev/shm"  # noqa: S108  # looked at, not written to


def full_folders(environ: Mapping[str, str], folder: str) -> tuple[FolderSpace, ...]:
    """Return those of the folders that a run usually writes to which have next to no room left."""
    home = environ.get("HOME", "")
    places = (folder, environ.get("TMPDIR", "/tmp"), environ.get("HF_HOME", ""), home, SHARED_MEMORY)  # noqa: S108
    found: dict[int, FolderSpace] = {}
    for place in places:
        with suppress(OSError):
            if place and (free := _free(place)) < FULL:
                found.setdefault(Path(place).stat().st_dev, FolderSpace(place, free))
    return tuple(found.values())


def _free(place: str) -> int:
    return shutil.disk_usage(place).free  # what an ordinary user may still write: f_bavail


def join_facts(
    observed: Mapping[str, Any],
    host: HostWatch,
    environ: Mapping[str, str],
    command: Sequence[str],
    folder: str,
    ended: float,
) -> RunFacts:
    """Join what the running program has seen with what the host tells; `ended` is a wall time."""
    return replace(
        observed_facts(observed, ended),
        oom_kills=host.oom_kills(),
        machine_kills=host.machine_kills(),
        kernel_lines=host.kernel_lines(),
        full=full_folders(environ, folder),
        deadline=_deadline(environ),
        command=tuple(command),
    )


def _deadline(environ: Mapping[str, str]) -> float | None:
    """Return when Slurm ends the job (wall time): SLURM_JOB_END_TIME of `srun`'s environment."""
    try:
        return float(environ["SLURM_JOB_END_TIME"])
    except (KeyError, ValueError):
        return None
