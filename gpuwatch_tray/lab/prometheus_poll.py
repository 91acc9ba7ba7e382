"""One poll of one Prometheus: some small instant queries of one moment, and what its exporters are."""

from __future__ import annotations

import math
import statistics
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.i18n import _
from gpuwatch_tray.lab.answers import (
    Sample,
    by_instance,
    host_of,
    no_answer,
    parse_host_alerts,
    parse_samples,
    parse_times,
    warning_of,
)
from gpuwatch_tray.lab.exporters import EXPORTERS, GPUWATCH, Exporter, found_exporters
from gpuwatch_tray.lab.host_states import LabAnswers, oldest_allowed
from gpuwatch_tray.lab.lab_error import LabError, LabFailure
from gpuwatch_tray.lab.promql import (
    ALERTS,
    LACKS,
    SILENT,
    exporters_query,
    host_alerts_query,
    host_queries,
    lacking_query,
    roomy_queries,
    scrapes_query,
    target_queries,
)
from gpuwatch_tray.model.units import HOUR, MINUTE, rough_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.lab.alert_feed import AlertKey
    from gpuwatch_tray.lab.http import HttpAnswer, LabServer
    from gpuwatch_tray.model import RoomWanted
    from gpuwatch_tray.settings import LabSettings

QUERY_SECONDS = 5.0  # after which the server itself gives a query up
USUAL_INTERVAL = 60.0  # seconds between scrapes, Prometheus's default, until it is measured
PROBED_EVERY, PROBED_AGAIN = HOUR, MINUTE  # the second while hosts are not read as we know them
_REQUIRED = frozenset({"reading", "blind", "gpus"})


class PrometheusPoll(Struct, frozen=True):
    """
    What one server answered.

    `firing`, `pending` and `silent`, the watchdogs that have fired and do not now, are None where the rules
    could not be asked about.
    """

    answers: LabAnswers
    interval: float  # seconds between scrapes
    exporters: tuple[Exporter, ...]
    firing: frozenset[AlertKey] | None
    pending: frozenset[AlertKey] | None
    silent: frozenset[AlertKey] | None
    clock: float | None  # the server's wall time less ours, in seconds, to the second
    size: int  # bytes of all answers, unpacked
    notes: tuple[str, ...] = ()


class ServerClock:
    """
    Whether a server's clock was set back.

    Nothing that it answers shows that: what it stored when its clock was there before comes once more, moment
    by moment, as if it were new.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None  # the server's clock less the steady one here
        self._until = -math.inf  # by the server's clock

    def answers_old_for(self, at: float, steady: float, allowed: float) -> float:
        """
        Return for how many more seconds; 0 where its clock went on, but for what is `allowed`.

        `at` is the server's wall time, `steady` ours of the same moment, on a clock that nobody sets.
        """
        if self._ahead is not None and at - steady < self._ahead - allowed:
            # It may have stored something a moment ago, which then counts for as long as is allowed.
            self._until = max(self._until, self._ahead + steady + allowed)
        self._ahead = at - steady
        return max(self._until - at, 0.0)


class _Asking:
    """The questions of one poll, of the moment `at` once that is known, and what there is to note of them."""

    def __init__(self, client: PrometheusClient, end: float) -> None:
        self._client = client
        self._end = end
        self.began = time.time()
        self.at: float | None = None
        self.size = 0
        self.clock: float | None = None  # the server's, with the first answer
        self.clock_off: float | None = None  # that less ours
        self.warnings: dict[str, None] = {}
        self._refused: list[str] = []

    def samples(self, text: str) -> list[Sample]:
        """Return the series; raises LabError."""
        answer = self._client.ask(text, self._end, self.at)
        if not self.size and answer.clock is not None:
            self.clock, self.clock_off = answer.clock, answer.clock - (self.began + time.time()) / 2
        self.size += answer.size
        if warning := warning_of(answer.json):
            self.warnings[warning] = None
        return parse_samples(self._client.server.name, answer.json)

    def unless_refused(self, name: str, text: str) -> list[Sample] | None:
        """Return the series; None where the question is not taken, which is noted. Raises LabError."""
        try:
            return self.samples(text)
        except LabError as error:
            if error.kind is not LabFailure.QUERY:
                raise
            self._note(name, error)
            return None

    def if_possible(self, name: str, text: str) -> list[Sample] | None:
        """Return the series; None where there is no answer, which is noted."""
        try:
            return self.samples(text)
        except LabError as error:
            self._note(name, error)
            return None

    def _note(self, name: str, error: LabError) -> None:
        self._refused.append(_("{name} could not be asked: {why}").format(name=name, why=error.text))

    def whole(self, name: str, text: str) -> list[Sample] | None:
        """Return the same; None too where there may be more than the answer has."""
        self.warnings, others = {}, self.warnings
        try:
            found = self.unless_refused(name, text)
            return None if self.warnings else found
        finally:
            self.warnings = others | self.warnings

    @property
    def notes(self) -> tuple[str, ...]:
        """What was refused, and what may lack something."""
        text, server = _("the answer of {server} is not whole: {why}"), self._client.server.name
        return (*self._refused, *(text.format(server=server, why=warning) for warning in self.warnings))


class PrometheusClient:
    """One Prometheus, or what speaks as one."""

    def __init__(
        self, server: LabServer, settings: LabSettings, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self.server = server
        self._steady = steady
        self._settings = settings
        self._exporters: tuple[Exporter, ...] | None = None
        self._interval: float | None = None
        self._probed = 0.0  # on the steady clock
        self._unsure = False  # whether other exporters, or another pace, would explain the last poll
        self._clock = ServerClock()

    def query(self, text: str, end: float, at: float | None = None) -> list[Sample]:
        """Ask an instant query of the wall time `at` until the steady time `end`; raises LabError."""
        return parse_samples(self.server.name, self.ask(text, end, at).json)

    def instances(self, end: float) -> frozenset[str]:
        """Return the instances that are its targets now; raises LabError."""
        return frozenset(by_instance(self.query(target_queries(self._settings.job)["scraped"], end)))

    def ask(self, text: str, end: float, at: float | None = None) -> HttpAnswer:
        """Ask the same, for the answer as it came; raises LabError."""
        seconds = end - time.monotonic()
        fields = [("query", text), ("timeout", f"{max(min(seconds, QUERY_SECONDS), 0.1):.1f}")]
        if at is not None:
            fields.append(("time", f"{at:.3f}"))
        return self.server.get("/api/v1/query", seconds, fields)

    def poll(self, end: float, wanted: Sequence[RoomWanted] = (), *, first: bool = False) -> PrometheusPoll:
        """
        Ask all of a poll until the steady time `end`; raises LabError where the targets are not known.

        GPUs with so much memory free are asked for while that is `wanted` alone; with the `first` poll, what
        the hosts have told before.
        """
        job, asking = self._settings.job, _Asking(self, end)
        targets = target_queries(job)
        rows = asking.samples(targets["scraped"])
        scraped = by_instance(rows)
        at = asking.at = rows[0].at if rows else (asking.clock or asking.began)
        if rows:
            self._check_clock(at)
        self._probe(job, scraped, end)
        exporters = self._exporters or (GPUWATCH,)
        down = by_instance(asking.samples(targets["down"]))
        gone = by_instance(asking.unless_refused("gone", targets["gone"]) or [])
        partial = next(iter(asking.warnings), "")
        values, untold = self._values(asking, exporters, wanted) if scraped else ({}, frozenset())
        told = {*down, *values.get("reading", ()), *values.get("blind", ())}
        old = bool(scraped) and at - max(scraped.values()) > self._allowed
        self._unsure = old or not scraped.keys() <= told
        host_alerts = asking.unless_refused("gpuwatch_alert", host_alerts_query(job))
        rules = asking.whole("ALERTS", ALERTS)
        # The last, and the one that takes long: the poll is good without it.
        before = asking.if_possible(_("what was told before"), lacking_query(job)) if first else None
        return PrometheusPoll(
            LabAnswers(
                at,
                scraped,
                down,
                gone,
                values,
                parse_host_alerts(host_alerts or []),
                untold,
                tuple(room.memory for room in wanted),
                partial,
                _lacking(before or []),
            ),
            self._interval or USUAL_INTERVAL,
            exporters,
            _alert_keys(rules, "firing"),
            _alert_keys(rules, "pending"),
            _alert_keys(rules, SILENT),
            asking.clock_off,
            asking.size,
            asking.notes,
        )

    @property
    def _allowed(self) -> float:
        return oldest_allowed(self._interval or USUAL_INTERVAL)

    def _check_clock(self, at: float) -> None:
        """Raise LabError while what the server answers is old, though it looks new."""
        left = self._clock.answers_old_for(at, self._steady(), self._allowed)
        if left:
            text = _("the clock of {server} was set back: what it answers is old, for {time} more")
            text = text.format(server=self.server.name, time=rough_duration(left))
            raise LabError(LabFailure.BUSY, text)

    def _values(
        self, asking: _Asking, exporters: tuple[Exporter, ...], wanted: Sequence[RoomWanted]
    ) -> tuple[dict[str, dict[str, float]], frozenset[str]]:
        """Return the answers about the hosts' GPUs, and which of what can be waited for no host tells."""
        job, me = self._settings.job, self._settings.me
        values: dict[str, dict[str, float]] = {}
        untold = {"free"}
        queries = host_queries(job, me, exporters) | roomy_queries(job, exporters, wanted)
        for name, text in queries.items():
            if name.startswith("looks_") and not self._settings.looks_free:
                continue
            # Without these nothing is known of any host.
            rows = asking.samples(text) if name in _REQUIRED else asking.unless_refused(name, text)
            values[name] = by_instance(rows or [])
            if rows != []:
                untold.discard(name)
        return values, frozenset(untold)

    def _probe(self, job: str, scraped: dict[str, float], end: float) -> None:
        """Ask now and then which exporters there are, and how often they are scraped."""
        now = time.monotonic()
        every = PROBED_AGAIN if self._unsure else PROBED_EVERY
        due = self._exporters is None or self._interval is None or now - self._probed > every
        if not scraped or not due:
            return
        self._probed = now
        names = self.query(exporters_query(job, EXPORTERS), end)
        if names:
            self._exporters = found_exporters(sample.labels.get("__name__", "") for sample in names)
        newest = max(scraped, key=lambda instance: scraped[instance])
        times = parse_times(self.server.name, self.ask(scrapes_query(job, newest), end).json)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        if gaps:
            self._interval = statistics.median(gaps)


def _lacking(samples: list[Sample]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for sample in samples:
        instance = sample.labels.get("instance", "")
        found[instance] = found.get(instance, frozenset()) | {sample.labels.get(LACKS, "")}
    return found


def _alert_keys(samples: list[Sample] | None, state: str) -> frozenset[AlertKey] | None:
    if samples is None:
        return None
    return frozenset(
        (sample.labels.get("alertname", ""), host_of(sample.labels))
        for sample in samples
        if sample.labels.get("alertstate") == state
    )


def is_prometheus(client: PrometheusClient, end: float) -> None:
    """Ask for nothing but an answer in Prometheus's form; raises LabError, which says what it is instead."""
    try:
        if [sample.value for sample in client.query("vector(1)", end)] != [1.0]:
            raise no_answer(client.server.name, "Prometheus")
    except LabError as error:
        raise recognised(error, client.server, end) from None


def recognised(error: LabError, server: LabServer, end: float) -> LabError:
    """Return why a server gave no answer of a Prometheus: that it is an Alertmanager, where it is one."""
    if error.kind is not LabFailure.OTHER_PROGRAM or not is_alertmanager(server, end):
        return error
    return LabError(
        error.kind,
        _("{server} is an Alertmanager, not a Prometheus").format(server=server.name),
        _("exchange LAB_PROMETHEUS and LAB_ALERTMANAGER in lab.env"),
    )


def is_alertmanager(server: LabServer, end: float) -> bool:
    """Tell whether an Alertmanager answers there."""
    try:
        status = server.get("/api/v2/status", end - time.monotonic()).json
    except LabError:
        return False
    return isinstance(status, dict) and "versionInfo" in status and "cluster" in status
