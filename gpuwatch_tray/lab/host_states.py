"""
What Prometheus's answers say of each host: which is read, and which only was. Pure.

No row, no knowledge: a host is OK where Prometheus scraped it a moment ago, it answered, its GPUs were read,
and the time of that reading moves on. All else is named; a host that was once seen is never left out.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.lab.answers import harmless
from gpuwatch_tray.lab.promql import FIRING, LASTING, roomy_name
from gpuwatch_tray.model import (
    UNKNOWN,
    UNSUPPORTED,
    Field,
    HostAlert,
    HostState,
    HostView,
    Missing,
    Why,
    known,
)
from gpuwatch_tray.model.units import rough_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCRAPES = 3  # that may be missed before what is known counts as old
LONGEST_OLD = 300.0  # seconds: what is older Prometheus does not answer with
READING_AGE = (
    180.0  # seconds that a last reading of the GPUs may lie back: a file is written, and read, once a minute
)
_MOST = 1_000_000  # GPUs of a host, and more than any number here can be
_EPOCH = 1e9  # smaller than any wall time of today, and larger than an uptime
_TOO_MANY = Missing(Why.ERROR, N_("not a count"))


class LabAnswers(Struct, frozen=True):
    """The answers of one poll, as numbers by `instance`; `at` is the server's wall time that they are of."""

    at: float
    scraped: Mapping[str, float] = field(default_factory=dict)  # wall time
    down: Mapping[str, float] = field(default_factory=dict)
    gone: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # by the names of `host_queries`
    firing: Mapping[str, tuple[HostAlert, ...]] = field(default_factory=dict)
    untold: frozenset[str] = frozenset()  # names of `values` that no host of the lab tells
    room: tuple[int, ...] = ()  # bytes: so much memory was asked for on free GPUs
    partial: str = ""  # why hosts may be on the list that are not in the answer
    # Names of `values`, and FIRING, that a host told before we asked for the first time, and not now.
    lacking: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def told(self, instance: str) -> frozenset[str]:
        """Return the names of what lasts, of which the host tells something now."""
        names = {name for name in LASTING if instance in self.values.get(name, {})}
        return frozenset(names | ({FIRING} if instance in self.firing else set()))


class _Seen(Struct, frozen=True):
    """
    What is remembered of a host: its state, since when (wall time), and its last reading.

    `still` is since when that reading was seen to be the same, on a clock that nobody sets; `moved` whether
    it was ever seen to change.
    """

    state: HostState
    since: float | None
    reading: float | None = None
    told: frozenset[str] = frozenset()  # what lasts, of which it has told something at any time
    still: float = 0.0
    moved: bool = False


class HostMemory(Struct, frozen=True):
    """What is remembered from poll to poll, by instance."""

    hosts: Mapping[str, _Seen] = field(default_factory=dict)

    def interrupted(self, now: PollTime) -> HostMemory:
        """Note that nothing is known of any host from now on."""
        unknown = HostState.UNKNOWN
        return HostMemory(
            {
                name: seen if seen.state is unknown else replace(seen, state=unknown, since=now.wall)
                for name, seen in self.hosts.items()
            }
        )

    def without(self, instances: Iterable[str]) -> HostMemory:
        """Forget hosts."""
        left = set(instances)
        return HostMemory({name: seen for name, seen in self.hosts.items() if name not in left})


class PollTime(Struct, frozen=True):
    """The present: wall time here, and a clock that nobody sets, in seconds."""

    wall: float
    steady: float


def oldest_allowed(interval: float) -> float:
    """Return how many seconds ago a host may have been scraped, where `interval` lie between two scrapes."""
    return min(SCRAPES * interval, LONGEST_OLD)


def newest_age(answers: LabAnswers) -> float | None:
    """Return how long ago any host was scraped, in seconds by the server's clock; None without targets."""
    return answers.at - max(answers.scraped.values()) if answers.scraped else None


def judge_hosts(
    answers: LabAnswers, memory: HostMemory, now: PollTime, *, interval: float
) -> tuple[dict[str, HostView], HostMemory]:
    """
    Return each host by its instance, and what to remember.

    `interval` is that of the scrapes, in seconds. The views' names are the instances: what they are called is
    decided where all are known.
    """
    views: dict[str, HostView] = {}
    hosts: dict[str, _Seen] = {}
    for instance in {*answers.scraped, *answers.gone, *memory.hosts}:
        before = memory.hosts.get(instance)
        seen = _remember_reading(answers, instance, before, now)
        state, reason = _state(answers, instance, seen, now, interval)
        stays = before is not None and before.state is state
        # When it began is known where it was seen to begin.
        since = before.since if stays and before else (None if before is None else now.wall)
        hosts[instance] = replace(seen, state=state, since=since)
        lacks = tuple(sorted(seen.told - answers.told(instance)))
        view = HostView(instance, state, since, reason)
        if state is HostState.OK:
            still = now.steady - seen.still if seen.reading else 0.0
            view = _with_counts(replace(view, still=still, lacks=lacks), answers, instance)
        views[instance] = view
    return views, HostMemory(hosts)


def _state(
    answers: LabAnswers, instance: str, seen: _Seen, now: PollTime, interval: float
) -> tuple[HostState, str]:
    scraped = answers.scraped.get(instance)
    if scraped is None and answers.partial:
        text = _("the answer of Prometheus is not whole: {why}")
        return HostState.UNKNOWN, text.format(why=answers.partial)
    if scraped is None:
        return HostState.GONE, _("Prometheus no longer asks it")
    age = answers.at - scraped
    if age > oldest_allowed(interval):
        text = _("Prometheus last asked it {time} ago")
        return HostState.STALE, text.format(time=rough_duration(age))
    if instance in answers.down:
        return HostState.DOWN, _("Prometheus cannot reach its exporter")
    if instance not in answers.values.get("reading", {}):
        if instance in answers.values.get("blind", {}):
            return HostState.BLIND, _("its exporter answers, but the driver there does not")
        return HostState.UNKNOWN, _("it answers, but says nothing about GPUs")
    if "gpus" in seen.told - answers.told(instance):
        return HostState.UNKNOWN, _("it answers, but no longer says how many GPUs it has")
    return _reading_state(seen, scraped, now)


def _reading_state(seen: _Seen, scraped: float, now: PollTime) -> tuple[HostState, str]:
    """Judge by the last reading, which must move on: an exporter that hangs goes on telling it."""
    if seen.reading is None or seen.reading == 0:
        return HostState.OK, ""
    text = _("it last read its GPUs {time} ago")
    still = now.steady - seen.still
    if still > READING_AGE:
        return HostState.STALE, text.format(time=rough_duration(still))
    if seen.moved:
        return HostState.OK, ""
    # Not seen to move yet: by the clocks, though the host's may be off.
    age = scraped - seen.reading if seen.reading >= _EPOCH else 0.0
    if abs(age) > READING_AGE:
        return HostState.STALE, text.format(time=rough_duration(age)) if age > 0 else _(
            "its last reading lies in the future: its clock is off"
        )
    return HostState.OK, ""


def _remember_reading(answers: LabAnswers, instance: str, before: _Seen | None, now: PollTime) -> _Seen:
    """Note when the last reading changed. What was not told meanwhile has not moved."""
    reading = answers.values.get("reading", {}).get(instance)
    told = answers.told(instance)
    if before is None:
        told |= answers.lacking.get(instance, frozenset())
        return _Seen(HostState.UNKNOWN, None, reading, told, now.steady)
    before = replace(before, told=before.told | told)
    if reading is None or reading == before.reading:
        return before
    moved = before.moved or before.reading is not None
    return replace(before, reading=reading, still=now.steady, moved=moved)


def _with_counts(view: HostView, answers: LabAnswers, instance: str) -> HostView:
    values = answers.values

    def count(name: str) -> Field[int]:
        return _count(values.get(name, {}).get(instance))

    gpus, free = count("gpus"), count("free")
    if not isinstance(gpus, Missing) and not isinstance(free, Missing) and free > gpus:
        free = _TOO_MANY
    if isinstance(free, Missing) and "free" in answers.untold:
        free = UNSUPPORTED
    looks = count("looks_free")
    clock = values.get("clock", {}).get(instance)
    start = values.get("oldest_start", {}).get(instance)
    return replace(
        view,
        gpus=gpus,
        expected=count("expected"),
        free=free,
        largest_free=_count(values.get("largest_free", {}).get(instance), math.inf),
        looks_free=looks,
        roomy=_roomy(answers, instance, free, looks),
        mine=count("mine"),
        oldest_start=UNKNOWN if start is None or not math.isfinite(start) else start,
        clock=UNKNOWN if clock is None or not math.isfinite(clock) else clock,
        hottest=count("hottest"),
        firing=answers.firing.get(instance, UNKNOWN),
    )


def _roomy(
    answers: LabAnswers, instance: str, free: Field[int], looks: Field[int]
) -> tuple[tuple[int, int], ...]:
    """Return how many free GPUs have the memory that was asked for, else of those that look free."""
    by_looks = isinstance(free, Missing)
    among = known(looks if by_looks else free)
    if among is None:
        return ()
    rows = []
    for memory in answers.room:
        name = roomy_name(memory, looks=by_looks)
        found = known(_count(answers.values.get(name, {}).get(instance)))
        if found is not None:
            rows.append((memory, min(found, among)))
    return tuple(rows)


def _count(value: float | None, most: float = _MOST) -> Field[int]:
    if value is None:
        return UNKNOWN
    if not math.isfinite(value) or not 0 <= value <= most:
        return _TOO_MANY
    return int(value)


def host_names(instances: Iterable[str]) -> dict[str, str]:
    """Return what each instance is called: without its port, where no other is called so then."""
    names = {instance: harmless(_without_port(instance)) for instance in instances}
    taken = Counter(names.values())
    names = {instance: name if taken[name] == 1 else harmless(instance) for instance, name in names.items()}
    taken = Counter(names.values())  # of foreign names that look alike as soon as they are harmless
    return {
        instance: name if taken[name] == 1 else f"{name} #{zlib.crc32(instance.encode()):08x}"
        for instance, name in names.items()
    }


def _without_port(instance: str) -> str:
    name, colon, port = instance.rpartition(":")
    bracketed = name.startswith("[") and name.endswith("]")
    if not name or not colon or not port.isdecimal() or (":" in name and not bracketed):
        return instance
    return name[1:-1] if bracketed else name
