"""Many machines at one moment, a level above the snapshot: hosts, and an Alertmanager's alerts."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.model import schema
from gpuwatch_tray.model.devices import UNKNOWN, Field, Missing, Problem, Snapshot

if TYPE_CHECKING:
    from collections.abc import Collection

    from gpuwatch_tray.model.alerts import Severity

SETTLING = 120.0  # seconds: Prometheus evaluates its rules once a minute, unless told otherwise


class HostState(Enum):
    """What is known of a host now. Only of an OK one are there counts."""

    OK = "ok"  # it was read a moment ago, its GPUs and their processes
    DOWN = "down"  # it does not answer
    BLIND = "blind"  # it answers, and cannot read its GPUs
    STALE = "stale"  # what is known of it is too old to be the present
    GONE = "gone"  # it was taken off the list of hosts
    UNKNOWN = "unknown"  # not asked yet, or who should know does not answer


class RoomWanted(Struct, frozen=True):
    """Free GPUs with `memory` bytes free each that are waited for; fewer than `least` on a host are none."""

    memory: int
    least: int


class HostAlert(Struct, frozen=True):
    """What a rule of the host itself has found there, as its exporter tells it."""

    rule: str
    severity: Severity
    gpu: str = ""  # the GPU's index there; empty where it is about none


SAME_START = 60.0  # seconds by which what is told of the start of one process may differ


class HostView(Struct, frozen=True):
    """One host of the lab. Counts of one that is not OK are Missing, never 0."""

    name: str
    state: HostState
    since: float | None = None  # wall time since when it is in this state, as far as known
    reason: str = ""  # why it is not OK, in a few words
    gpus: Field[int] = UNKNOWN  # that the host can read
    expected: Field[int] = UNKNOWN  # that its own inventory knows; more than `gpus`: some are lost
    free: Field[int] = UNKNOWN  # without a compute process, where their lists are complete
    largest_free: Field[int] = UNKNOWN  # bytes that are free on the emptiest of them
    looks_free: Field[int] = UNKNOWN  # idle by memory and use, where nobody tells the processes
    # How many of those that are free, or look so, have so many bytes free; only where that was asked.
    roomy: tuple[tuple[int, int], ...] = ()
    mine: Field[int] = UNKNOWN  # on which LAB_ME computes
    oldest_start: Field[float] = UNKNOWN  # of LAB_ME's oldest process, by the host's clock
    clock: Field[float] = UNKNOWN  # the host's wall time less that of who reads it, in s
    hottest: Field[int] = UNKNOWN  # degrees C
    firing: Field[tuple[HostAlert, ...]] = UNKNOWN  # what its own rules have found
    still: float = 0.0  # seconds for which it has told the same reading, as far as readings are told apart
    lacks: tuple[str, ...] = ()  # the names of fields that it has told before, and does not now
    detail: Snapshot | None = None  # GPU by GPU, where it was asked for

    def __post_init__(self) -> None:
        use = (self.free, self.largest_free, self.looks_free, self.mine, self.oldest_start)
        counts = (self.gpus, *use, self.hottest, self.firing)
        if self.state is not HostState.OK and not (
            all(isinstance(count, Missing) for count in counts) and not self.roomy
        ):
            raise ValueError(f"{self.name} is {self.state.value}, and yet it has counts")

    @property
    def free_or_looking_so(self) -> Field[int]:
        """How many GPUs are free, or look so where that alone is known."""
        return self.looks_free if isinstance(self.free, Missing) else self.free


class FeedState(Enum):
    """Whether what an Alertmanager says can be believed."""

    NONE = "none"  # none is configured
    FED = "fed"
    UNFED = "unfed"  # Prometheus has alerts that fire and that the Alertmanager does not have
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"  # nothing tells yet, or Prometheus cannot be asked what fires


class RemoteSilence(Struct, frozen=True):
    """A silence of an Alertmanager: nobody is told of what it matches until `until` (wall time)."""

    id: str
    author: str
    comment: str
    until: float
    ours: bool = False  # made by this program here, which may end it


class RemoteAlert(Struct, frozen=True):
    """An alert that an Alertmanager has; `fingerprint` alone tells two apart, never host and name."""

    fingerprint: str
    name: str  # alertname
    host: str  # empty where it names none
    severity: Severity
    text: str
    since: float  # wall time
    mine: bool | None = None  # whether it is about a host on which LAB_ME computes, or names LAB_ME
    silences: tuple[RemoteSilence, ...] = ()
    inhibited: bool = False
    labels: tuple[tuple[str, str], ...] = ()  # sorted by name


@lru_cache(maxsize=4096)
def _plain_name(host: str) -> str:
    """Return a host's name without port, domain and capitals: one is called otherwise in another's labels."""
    name, _colon, port = host.rpartition(":")
    if not name or ":" in name or not port.isdecimal():
        name = host
    first = name.partition(".")[0]
    return name.lower() if first.isdecimal() or ":" in name else first.lower()


class LabView(Struct, frozen=True):
    """One reading of the lab. With a `problem` nothing is known: no host, and no alert, is then news."""

    source: str
    at: float  # wall time
    hosts: tuple[HostView, ...] = ()  # sorted by name
    problem: Problem | None = None
    alerts: tuple[RemoteAlert, ...] = ()
    feed: FeedState = FeedState.NONE
    feed_problem: str = ""
    # Alerts (name, host) that fire in Prometheus, or whose condition holds there, but not for long yet:
    # none is over, though the Alertmanager does not have it. After a gap in the data each is pending again.
    standing: frozenset[tuple[str, str]] = frozenset()
    notes: tuple[str, ...] = ()  # what to tell besides: our clock is off, the exporter has no processes
    simulated: bool = False
    # Hosts that were asked GPU by GPU beside this view, as somebody waits for a process there.
    details: tuple[tuple[str, Snapshot], ...] = ()

    def tells_end_of(self, alert: RemoteAlert, there: Collection[str] | None = None) -> bool:
        """
        Tell whether this view shows that an alert of the one before is over, and not that its data are lost.

        Prometheus ends alerts whose series vanish, and an Alertmanager all of them when nobody feeds it. So
        one is over only where both can be believed, and its host is OK, tells all that it ever told, and has
        for so long that the rules have looked at it again. Without a host that goes for every one that was
        `there` with it (None: any that is known); of a host that is none of the lab's, Prometheus's word is
        all there is.
        """
        if self.problem is not None or self.feed is not FeedState.FED:
            return False
        if (alert.name, alert.host) in self.standing:
            return False
        if any(one.fingerprint == alert.fingerprint for one in self.alerts):
            return False
        if alert.host:
            called = _plain_name(alert.host)
            return all(self._is_settled(host) for host in self.hosts if _plain_name(host.name) == called)
        return all(self._is_settled(host) for host in self.hosts if there is None or host.name in there)

    def _is_settled(self, host: HostView) -> bool:
        known = host.state is HostState.OK and not host.lacks
        return known and (host.since is None or self.at - host.since >= SETTLING)


class ExportUsers(Enum):
    """How the metrics name the owners of processes (EXPORT_USERS)."""

    NAMES = "names"
    HASHED = "hashed"
    NONE = "none"


_USERS = ExportUsers(schema.EXPORT_USERS.default)


class ExportSettings(Struct, frozen=True):
    """What of a machine is told to a Prometheus."""

    users: ExportUsers = _USERS
    processes: int = schema.EXPORT_PROCESSES.default_value  # of each GPU, one by one
