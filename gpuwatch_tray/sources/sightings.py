"""
Which process of a printed list is one that was seen before.

A list tells when a process started only by its elapsed time, to the second and late by as long as its program
takes. So the first estimate stands for the process from then on, and one that comes out near it is the same
process. Within the life of a source a process that is older than the last reading is the same one too: then
the clock was set meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping
from dataclasses import replace
from typing import TypeAlias

from gpuwatch_tray.model import GpuProcess, Missing

Key: TypeAlias = tuple[int, str]
Sightings: TypeAlias = MutableMapping[Key, float]

TOLERANCE = 60.0  # seconds by which two estimates of one start may differ
RETURN = 120.0  # seconds for which a process that a reading lacked is still known
_SLACK = 2.0  # seconds: elapsed times are whole, and the steady clock is read a moment later


class Recogniser:
    """Gives processes their identities. `sightings` maps (pid, digest of the command) to the first start."""

    def __init__(self, sightings: Sightings) -> None:
        self._sightings = sightings
        self._lately: dict[Key, tuple[float, float]] = {}  # of those that left: start, steady time
        self._last: float | None = None  # when the last whole reading began, on the steady clock

    def identify(
        self, processes: tuple[GpuProcess, ...], now: float, began: float, ended: float
    ) -> tuple[GpuProcess, ...]:
        """
        The processes of a whole reading with start and identity.

        `now` is the wall time; the reading began and ended at times of a clock that nobody sets. Sightings of
        those that are gone are dropped; for a short while they are known here.
        """
        seen: dict[Key, float] = {}
        known: list[GpuProcess] = []
        since = None if self._last is None else ended - self._last
        for process in processes:
            key = self._key(process, seen, now)
            start = seen.get(key)
            if start is None:
                start = self._start(process, key, now, since)
            if start is not None:
                seen[key] = start
            if start is None or isinstance(process.elapsed, Missing):
                known.append(process)
                continue
            started = start if _near(process, start, now) else now - process.elapsed
            known.append(replace(process, started=started, identity=f"{start:.0f}"))
        self._keep(seen, ended)
        self._last = began
        return tuple(known)

    def _key(self, process: GpuProcess, seen: Sightings, now: float) -> Key:
        """The key of a process; a command not read this time is taken to be the one remembered."""
        if not isinstance(process.command, Missing):
            return process.pid, digest(process.command)
        for remembered in (seen, self._sightings):
            for key, start in remembered.items():
                if key[0] == process.pid and _near(process, start, now):
                    return key
        return process.pid, ""

    def _start(self, process: GpuProcess, key: Key, now: float, since: float | None) -> float | None:
        """The remembered start where it can be this process's, else the estimate, if there is one."""
        remembered = self._sightings.get(key)
        if remembered is not None:
            older = since is not None and _is_older(process, since)
            if older or _near(process, remembered, now):
                return remembered
        elif key in self._lately and _near(process, self._lately[key][0], now):
            return self._lately[key][0]
        return None if isinstance(process.elapsed, Missing) else now - process.elapsed

    def _keep(self, seen: Sightings, steady: float) -> None:
        for gone in [key for key in self._sightings if key not in seen]:
            self._lately[gone] = self._sightings.pop(gone), steady
        self._sightings.update(seen)
        self._lately = {
            key: (start, left)
            for key, (start, left) in self._lately.items()
            if key not in seen and steady - left <= RETURN
        }


def digest(command: tuple[str, ...]) -> str:
    """What stands for a command in the sightings, which are kept on disk: it may hold secrets."""
    return hashlib.sha256("\0".join(command).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _near(process: GpuProcess, start: float, now: float) -> bool:
    return isinstance(process.elapsed, Missing) or abs(now - process.elapsed - start) <= TOLERANCE


def _is_older(process: GpuProcess, since: float) -> bool:
    """Whether it ran at the last reading already: a PID has one process at a time."""
    return not isinstance(process.elapsed, Missing) and process.elapsed > since + _SLACK
