"""
What the rules remember from poll to poll: who was busy, what was idle, hot or broken, and for how long.

Pure, and bounded. Time in which nothing could be read counts neither as idle nor as throttled.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from gpuwatch_tray.model import (
    Alert,
    ClockLimit,
    Gpu,
    Instant,
    Limits,
    Missing,
    Phase,
    Severity,
    Snapshot,
    gpu_subject,
)
from gpuwatch_tray.model.units import DAY
from gpuwatch_tray.rules.verdict import GpuLookup, process_identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gpuwatch_tray.model import GpuProcess


SLICES = 20


class Window(Struct, frozen=True):
    """
    Amounts by slices of time (number of the slice, amount), oldest first; `SLICES` of them are the window.

    The time is seconds on any clock that does not go back.
    """

    slices: tuple[tuple[int, float], ...] = ()

    def add(self, at: float, length: float, amount: float) -> Window:
        """Return the window with `amount` more at `at`, without what is older than `length` seconds."""
        if not (self.slices or amount):
            return self
        now = int(at // (length / SLICES))
        kept = [entry for entry in self.slices if now - SLICES < entry[0] <= now]
        if amount:
            before = kept.pop()[1] if kept and kept[-1][0] == now else 0.0
            kept.append((now, before + amount))
        return Window(tuple(kept))

    def total(self, at: float, length: float) -> float:
        """Sum the amounts of the last `length` seconds."""
        now = int(at // (length / SLICES))
        return sum(amount for number, amount in self.slices if number > now - SLICES)


EMPTY_WINDOW = Window()
THROTTLE_WINDOW = 5 * 60.0  # seconds
THROTTLE_POLLS = 6  # polls that it spans at the least
ECC_WINDOW = 10 * 60.0  # seconds
RECOVERY_XID = 154
EVENT_LASTS = DAY  # seconds
MOST_EVENTS = 64
MOST_BUSY = 5000  # processes
GAP = 15.0  # seconds
EVENT_RULES = frozenset({"xid_fatal", "xid_app", "ecc"})
THERMAL = ClockLimit.SW_THERMAL | ClockLimit.HW_THERMAL


class RuleEvent(Struct, frozen=True):
    """An event that leaves no state to read: when it last happened, and how often."""

    at: Instant
    count: int = 1


class DeviceHistory(Struct, frozen=True):
    """A GPU or MIG device: when its utilisation was last known, and since when it is idle or does nothing."""

    at: float | None = None
    idle_from: float | None = None
    quiet_from: float | None = None


class BoardHistory(Struct, frozen=True):
    """A physical GPU: seconds of throttling, and errors, in the last minutes; the counters as last seen."""

    sampled: float | None = None
    throttled: Window = EMPTY_WINDOW
    counted: float | None = None
    corrected: int | None = None
    errors: Window = EMPTY_WINDOW
    uncorrected: int | None = None
    recovery: int | None = None


class RestingProcess(Struct, frozen=True):
    """A process that was busy and whose GPUs rest: since when, its CPU then (s), its state and since when."""

    since: float
    cpu: float | None
    state: str
    state_from: float


class RuleHistory(Struct, frozen=True):
    """
    The history of all polls; times are by `clock`, which counts the seconds since the first.

    `busy` processes have been seen to work a GPU; `holding`: since when one holds much memory of an idle GPU.
    `resting` are those that were busy before. `oom_kills` is the machine's count as last read, `oom_kill`
    when it last rose.
    """

    clock: float = 0.0
    at: Instant | None = None
    devices: Mapping[str, DeviceHistory] = field(default_factory=dict)
    boards: Mapping[str, BoardHistory] = field(default_factory=dict)
    busy: frozenset[str] = frozenset()
    holding: Mapping[tuple[str, str], float] = field(default_factory=dict)
    events: Mapping[str, RuleEvent] = field(default_factory=dict)
    resting: Mapping[str, RestingProcess] = field(default_factory=dict)
    oom_kills: int | None = None
    oom_kill: RuleEvent | None = None

    def idle_for(self, device: str) -> float:
        """Return for how many seconds a device has been idle."""
        return self._since(self.devices.get(device, DeviceHistory()).idle_from)

    def quiet_for(self, device: str) -> float:
        """Return for how many seconds a device has done nothing at all."""
        return self._since(self.devices.get(device, DeviceHistory()).quiet_from)

    def held_for(self, process: str, device: str) -> float:
        """Return for how many seconds a process has held much memory of a device that was idle."""
        return min(self._since(self.holding.get((process, device))), self.idle_for(device))

    def _since(self, start: float | None) -> float:
        return 0.0 if start is None else self.clock - start


def throttle_window(limits: Limits) -> float:
    """Return the seconds over which the share of throttling is taken: a slow poll needs longer."""
    return max(THROTTLE_WINDOW, THROTTLE_POLLS * limits.poll)


def recalled(alerts: Iterable[Alert]) -> RuleHistory:
    """Return the history to begin with: the events whose alerts are stored."""
    return RuleHistory(
        events={
            alert.subject: RuleEvent(alert.fired or Instant(alert.since), max(1, int(alert.value)))
            for alert in alerts
            if alert.rule in EVENT_RULES
            and alert.phase is not Phase.PENDING
            and (alert.rule != "ecc" or alert.severity is Severity.CRITICAL)  # corrected errors only warn
        }
    )


def observe(
    history: RuleHistory,
    snapshot: Snapshot,
    now: Instant,
    limits: Limits,
    *,
    gap: float = GAP,
    acknowledged: Iterable[tuple[str, str]] = (),
) -> RuleHistory:
    """Return the history after `snapshot`, in which the `acknowledged` events (rule, subject) are closed."""
    # Between two polls more than `gap` seconds apart anything may have happened: spans begin anew.
    clock = history.clock if history.at is None else history.clock + max(0.0, now.since(history.at))
    events = _kept(history.events, now, acknowledged)
    for xid in snapshot.events:
        _record_event(events, f"{xid.uuid}/{xid.code}", now)
    if snapshot.problem is not None:
        return replace(history, clock=clock, at=now, events=_bounded(events))
    boards_now = {}
    for name, gpu in snapshot.boards:
        before = history.boards.get(name, BoardHistory())
        boards_now[name] = _board(before, gpu, clock, limits, gap)
        _observe_recovery(events, name, before, gpu, now)
        more = _more(before.uncorrected, boards_now[name].uncorrected)
        if more:
            _record_event(events, name, now, more)
    devices = {}
    for gpu in snapshot.gpus:
        name = gpu_subject(gpu)
        devices[name] = _device(history.devices.get(name, DeviceHistory()), gpu, clock, limits, gap)
    busy, holding = _processes(history, snapshot, clock, limits)
    near = history.at is not None and clock - history.clock <= gap
    resting = _resting(history.resting if near else {}, snapshot, clock, limits, busy)
    killed = _more(history.oom_kills, snapshot.oom_kills)
    return RuleHistory(
        clock,
        now,
        devices,
        boards_now,
        busy,
        holding,
        _bounded(events),
        resting,
        history.oom_kills if snapshot.oom_kills is None else snapshot.oom_kills,
        RuleEvent(now, killed) if killed else history.oom_kill,
    )


def _observe_recovery(
    events: dict[str, RuleEvent], name: str, before: BoardHistory, gpu: Gpu, now: Instant
) -> None:
    """Judge Xid 154, which reports any change of the recovery action, by the action, also at the start."""
    subject = f"{name}/{RECOVERY_XID}"
    if isinstance(gpu.recovery, Missing):
        return
    if not gpu.recovery:
        events.pop(subject, None)
    elif gpu.recovery != before.recovery and subject not in events:
        _record_event(events, subject, now)


def _kept(
    events: Mapping[str, RuleEvent], now: Instant, acknowledged: Iterable[tuple[str, str]]
) -> dict[str, RuleEvent]:
    closed = {name for rule, name in acknowledged if rule in EVENT_RULES}
    # A clock that was set back over a boot makes it negative: then nobody knows, and it stays.
    return {
        name: event
        for name, event in events.items()
        if name not in closed and now.since(event.at) < EVENT_LASTS
    }


def _record_event(events: dict[str, RuleEvent], name: str, now: Instant, times: int = 1) -> None:
    before = events.pop(name, None)  # and to the end, where the newest stand
    events[name] = RuleEvent(now, times + (0 if before is None else before.count))


def _bounded(events: dict[str, RuleEvent]) -> dict[str, RuleEvent]:
    return dict(list(events.items())[-MOST_EVENTS:])


def _more(before: int | None, now: int | None) -> int:
    """Return how far a counter has gone on; one that went back was reset, and has counted since."""
    if before is None or now is None:
        return 0
    return now - before if now >= before else now


def _board(before: BoardHistory, gpu: Gpu, clock: float, limits: Limits, gap: float) -> BoardHistory:
    sampled, throttled = before.sampled, before.throttled
    if not isinstance(gpu.limited_by, Missing):
        passed = 0.0 if sampled is None else clock - sampled
        amount = passed if gpu.limited_by & THERMAL and passed <= gap else 0.0
        sampled, throttled = clock, throttled.add(clock, throttle_window(limits), amount)
    counted, corrected, errors = before.counted, before.corrected, before.errors
    if not isinstance(gpu.ecc_corrected, Missing):
        near = counted is not None and clock - counted <= gap
        more = _more(corrected, gpu.ecc_corrected) if near else 0
        counted, corrected, errors = clock, gpu.ecc_corrected, errors.add(clock, ECC_WINDOW, more)
    return BoardHistory(
        sampled,
        throttled,
        counted,
        corrected,
        errors,
        before.uncorrected if isinstance(gpu.ecc_uncorrected, Missing) else gpu.ecc_uncorrected,
        before.recovery if isinstance(gpu.recovery, Missing) else gpu.recovery,
    )


def _device(before: DeviceHistory, gpu: Gpu, clock: float, limits: Limits, gap: float) -> DeviceHistory:
    if isinstance(gpu.utilisation, Missing):
        return before
    near = before.at is not None and clock - before.at <= gap

    def since(earlier: float | None) -> float:
        return earlier if near and earlier is not None else clock

    return DeviceHistory(
        clock,
        since(before.idle_from) if gpu.utilisation < limits.use.idle_below else None,
        since(before.quiet_from) if gpu.utilisation == 0 else None,
    )


def _processes(
    history: RuleHistory, snapshot: Snapshot, clock: float, limits: Limits
) -> tuple[frozenset[str], dict[tuple[str, str], float]]:
    """Return which processes have been busy, and since when which of them hold memory of an idle GPU."""
    lookup = GpuLookup(snapshot)
    working: set[str] = set()
    holding: dict[tuple[str, str], float] = {}
    by_place: dict[tuple[int | None, str], list[GpuProcess]] = {}
    for place, rows in groupby(snapshot.computing, attrgetter("gpu", "device")):  # most often in this order
        by_place.setdefault(place, []).extend(rows)
    for together in by_place.values():
        gpu = lookup.of(together[0])
        if gpu is None or isinstance(gpu.utilisation, Missing):
            continue
        if gpu.utilisation >= limits.use.idle_below:
            # Of two on a busy GPU, one may have slept all along: only who is alone with it is known to work.
            if len(together) == 1:
                working.add(process_identity(snapshot, together[0]))
            continue
        device = gpu_subject(gpu)
        for process in together:
            name = process_identity(snapshot, process)
            if name and not isinstance(process.memory, Missing) and process.memory > limits.use.idle_memory:
                holding[name, device] = history.holding.get((name, device), clock)
    working.discard("")
    busy = history.busy
    # Who is not on a list with a gap may be there all the same.
    whole = all(gpu.problem is None and gpu.process_problem is None for gpu in snapshot.gpus)
    if busy and (whole or len(busy) >= MOST_BUSY):
        busy &= {process_identity(snapshot, process) for process in snapshot.computing}
    return busy | working, holding


def _resting(
    before: Mapping[str, RestingProcess],
    snapshot: Snapshot,
    clock: float,
    limits: Limits,
    busy: frozenset[str],
) -> dict[str, RestingProcess]:
    """Return how long those that were busy, and of whom no GPU works now, have been as they are."""
    if not busy:
        return {}
    lookup = GpuLookup(snapshot)
    found: dict[str, RestingProcess] = {}
    moving: set[str] = set()
    for process in snapshot.computing:
        gpu = lookup.of(process)
        if gpu is None or (name := process_identity(snapshot, process)) not in busy:
            continue
        if isinstance(gpu.utilisation, Missing) or gpu.utilisation >= limits.use.idle_below:
            moving.add(name)
            continue
        cpu = None if isinstance(process.cpu, Missing) else process.cpu
        earlier = before.get(name) or RestingProcess(clock, cpu, process.state, clock)
        if earlier.state != process.state:
            earlier = replace(earlier, state=process.state, state_from=clock)
        found[name] = earlier
    return {name: rest for name, rest in found.items() if name not in moving}
