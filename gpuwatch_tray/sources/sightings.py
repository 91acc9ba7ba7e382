"""Recognising the processes of a printed list, which tells their start only by their elapsed time."""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping
from dataclasses import replace
from typing import TypeAlias

from gpuwatch_tray.model import GpuProcess, Missing

ProcessKey: TypeAlias = tuple[int, str]
FirstSeen: TypeAlias = MutableMapping[ProcessKey, float]

TOLERANCE = 60.0  # seconds by which two estimates of one start may differ
RETURN_WITHIN = 120.0  # seconds for which a process that a reading lacked is still known
_SLACK = 2.0  # seconds: elapsed times are whole, and the steady clock is read a moment later


class ProcessMatcher:
    """
    Gives processes their identities. `first_seen` maps (pid, digest of the command) to the first start.

    An elapsed time is to the second, and late by as long as the list's program takes. So the first estimate
    of the start stands for the process, and one that comes out near it is the same process. A process that
    is older than the last reading of this object is the same one too: then the clock was set meanwhile.
    """

    def __init__(self, first_seen: FirstSeen) -> None:
        self._first_seen = first_seen
        self._gone: dict[ProcessKey, tuple[float, float]] = {}  # start, and steady time of the last sight
        self._last_read: float | None = None  # when the last whole reading began, on the steady clock

    def identify(
        self, processes: tuple[GpuProcess, ...], now: float, began: float, ended: float
    ) -> tuple[GpuProcess, ...]:
        """
        Return the processes of a whole reading with their start and identity.

        `now` is wall time; the reading began and ended at those times of a clock that nobody sets, in
        seconds. What is gone is dropped from `first_seen`; for a short while it is kept here.
        """
        seen: dict[ProcessKey, float] = {}
        known: list[GpuProcess] = []
        since = None if self._last_read is None else ended - self._last_read
        for process in processes:
            key = self._key(process, seen, now)
            start = seen.get(key)
            if start is None:
                start = self._estimate_start(process, key, now, since)
            if start is not None:
                seen[key] = start
            if start is None or isinstance(process.elapsed, Missing):
                known.append(process)
                continue
            started = start if _near(process, start, now) else now - process.elapsed
            known.append(replace(process, started=started, identity=f"{start:.0f}"))
        self._keep(seen, ended)
        self._last_read = began
        return tuple(known)

    def _key(self, process: GpuProcess, seen: FirstSeen, now: float) -> ProcessKey:
        """Return the key of a process; a command that is missing is taken to be the one remembered."""
        if not isinstance(process.command, Missing):
            return process.pid, digest(process.command)
        for remembered in (seen, self._first_seen):
            for key, start in remembered.items():
                if key[0] == process.pid and _near(process, start, now):
                    return key
        return process.pid, ""

    def _estimate_start(
        self, process: GpuProcess, key: ProcessKey, now: float, since: float | None
    ) -> float | None:
        """Return the remembered start where it can be this process's, else the estimate, if there is one."""
        remembered = self._first_seen.get(key)
        if remembered is not None:
            older = since is not None and _is_older(process, since)
            if older or _near(process, remembered, now):
                return remembered
        elif key in self._gone and _near(process, self._gone[key][0], now):
            return self._gone[key][0]
        return None if isinstance(process.elapsed, Missing) else now - process.elapsed

    def _keep(self, seen: FirstSeen, steady: float) -> None:
        for key in [key for key in self._first_seen if key not in seen]:
            self._gone[key] = self._first_seen.pop(key), steady
        self._first_seen.update(seen)
        self._gone = {
            key: (start, left)
            for key, (start, left) in self._gone.items()
            if key not in seen and steady - left <= RETURN_WITHIN
        }


def digest(command: tuple[str, ...]) -> str:
    """Return a digest that stands for a command on disk: the command itself may hold secrets."""
    return hashlib.sha256("\0".join(command).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _near(process: GpuProcess, start: float, now: float) -> bool:
    return isinstance(process.elapsed, Missing) or abs(now - process.elapsed - start) <= TOLERANCE


def _is_older(process: GpuProcess, since: float) -> bool:
    """Tell whether it ran at the last reading already: a PID has one process at a time."""
    return not isinstance(process.elapsed, Missing) and process.elapsed > since + _SLACK
