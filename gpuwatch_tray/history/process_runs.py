"""The processes on the GPUs as they go on from reading to reading, and alerts as marks on the time axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from gpuwatch_tray.common import redact
from gpuwatch_tray.model import AlertMark, Missing, ProcessRun, known
from gpuwatch_tray.rules.verdict import computes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from gpuwatch_tray.history.aggregate import UseAccumulator
    from gpuwatch_tray.model import Alert, GpuProcess, Limits


LONGEST_NAME = 64  # characters: a process can give itself a title of any length
RunKey: TypeAlias = tuple[int, str, int | None, str]


class TrackedRun:
    """One process on one GPU; `tally` is of the minute that is open, None where it was not seen in it."""

    __slots__ = (
        *("computed", "computes", "first", "key", "kinds", "last", "mine", "name", "process", "reading"),
        *("tally", "user", "uuid"),
    )

    def __init__(self, key: str, uuid: str, process: GpuProcess, first: float) -> None:
        self.key = key
        self.uuid = uuid
        self.process = process
        self.name: str | None = None
        self.user: str | None = None
        self.mine: bool | None = None
        self.first = self.last = first
        self.kinds: object = None
        self.computes = self.computed = False
        self.reading = 0  # the last one that it was in
        self.tally: UseAccumulator | None = None


class MinuteRun(NamedTuple):
    """A run as it was at the end of a minute in which it was seen; the next minute does not change it."""

    run: TrackedRun
    process: GpuProcess
    computed: bool
    last: float
    tally: UseAccumulator

    def process_run(self) -> ProcessRun:
        """Return what is known of the run; of each run, on one thread only."""
        run, process = self.run, self.process
        if not isinstance(process.user, Missing):  # once known, it stays so
            run.user, run.mine = process.user, process.mine
        if run.name is None:  # worked out once: it takes longer than all the rest
            run.name = redact.process_name(known(process.name) or "")[:LONGEST_NAME]
        return ProcessRun(
            run.key,
            process.pid,
            run.uuid,
            run.user,
            run.mine,
            run.name or None,
            known(process.started),
            self.computed,
            run.first,
            self.last,
        )


class RunTracker:
    """Finds the run of a process."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._runs: dict[RunKey, TrackedRun] = {}
        self._readings = 0

    def track(
        self, processes: Iterable[GpuProcess], boot: str, place: Callable[[GpuProcess], str], now: float
    ) -> list[TrackedRun]:
        """Return the runs of these processes, seen at `now` (wall time), in their order."""
        # `place` returns the GPU or MIG device that a new one is on.
        known_runs = self._runs
        self._readings = reading = self._readings + 1
        tracked = []
        for process in processes:
            key = (process.pid, process.identity, process.gpu, process.device)
            run = known_runs.get(key)
            if run is None:
                uuid = place(process)
                name = f"{boot}/{process.pid}/{process.identity}/{uuid}"
                run = known_runs[key] = TrackedRun(name, uuid, process, now)
            if run.kinds is not process.kinds and run.kinds != process.kinds:
                run.kinds = process.kinds
                run.computes = computes(process, self.limits)
                run.computed = run.computed or run.computes
            run.process = process
            run.last = now
            run.reading = reading
            tracked.append(run)
        return tracked

    def end_minute(self) -> list[MinuteRun]:
        """Return the runs that were seen in the minute that ends by this; forget those that are gone."""
        seen = []
        for run in self._runs.values():
            if run.tally is not None:
                seen.append(MinuteRun(run, run.process, run.computed, run.last, run.tally))
                run.tally = None
        self._runs = {key: run for key, run in self._runs.items() if run.reading == self._readings}
        return seen


def gpus_of_alert(subject: str, uuids: Collection[str], runs: Iterable[str]) -> tuple[str, ...]:
    """Return the GPUs among `uuids` that an alert with this subject is about."""
    # A subject names a GPU as one of its parts, or a process: one of the keys in `runs` then begins with it.
    parts = subject.split("/")
    named = tuple(uuid for uuid in uuids if uuid in parts)
    if named or not subject:
        return named
    of_process = {run.rpartition("/")[2] for run in runs if run.startswith(f"{subject}/")}
    return tuple(uuid for uuid in uuids if uuid in of_process)


def alert_marks(
    alerts: Iterable[Alert], uuids: Collection[str], runs: Collection[str], start: float, end: float
) -> tuple[AlertMark, ...]:
    """Return the alerts that fired and lasted into `start` to `end` (wall times), oldest first."""
    marks = []
    for alert in alerts:
        if alert.fired is None or alert.fired.wall > end:
            continue
        ended = None if alert.resolved is None else alert.resolved.wall
        if ended is not None and ended < start:
            continue
        about = gpus_of_alert(alert.subject, uuids, runs)
        text = redact.text(alert.message)
        marks.append(AlertMark(alert.id, alert.rule, alert.severity, text, alert.fired.wall, ended, about))
    return tuple(sorted(marks, key=lambda mark: (mark.began, mark.id)))
