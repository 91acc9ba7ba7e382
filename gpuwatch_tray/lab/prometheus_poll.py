"""One poll of one Prometheus: some small instant queries of one moment, and what its exporters are."""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

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
)
from gpuwatch_tray.lab.exporters import EXPORTERS, GPUWATCH, Exporter, found_exporters
from gpuwatch_tray.lab.host_states import LabAnswers
from gpuwatch_tray.lab.lab_error import LabError, LabFailure
from gpuwatch_tray.lab.promql import (
    ALERTS,
    exporters_query,
    host_alerts_query,
    host_queries,
    roomy_queries,
    scrapes_query,
    target_queries,
)
from gpuwatch_tray.model.units import HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.lab.alert_feed import AlertKey
    from gpuwatch_tray.lab.http import LabServer
    from gpuwatch_tray.model import RoomWanted
    from gpuwatch_tray.settings import LabSettings

QUERY_SECONDS = 5.0  # after which the server itself gives a query up
USUAL_INTERVAL = 60.0  # seconds between scrapes, Prometheus's default, until it is measured
_PROBED_EVERY = HOUR
_REQUIRED = frozenset({"reading", "blind", "gpus"})


class PrometheusPoll(Struct, frozen=True):
    """What one server answered. `firing` and `pending` are None where the rules could not be asked about."""

    answers: LabAnswers
    interval: float  # seconds between scrapes
    exporters: tuple[Exporter, ...]
    firing: frozenset[AlertKey] | None
    pending: frozenset[AlertKey] | None
    clock: float | None  # the server's wall time less ours, in seconds, to the second
    size: int  # bytes of all answers, unpacked
    notes: tuple[str, ...] = ()


class PrometheusClient:
    """One Prometheus, or what speaks as one."""

    def __init__(self, server: LabServer, settings: LabSettings) -> None:
        self.server = server
        self._settings = settings
        self._exporters: tuple[Exporter, ...] | None = None
        self._interval: float | None = None
        self._probed = 0.0  # on the steady clock

    def query(self, text: str, end: float, at: float | None = None) -> list[Sample]:
        """Ask an instant query of the wall time `at` until the steady time `end`; raises LabError."""
        return parse_samples(self.server.name, self._ask(text, end, at)[0])

    def _ask(self, text: str, end: float, at: float | None = None) -> tuple[Any, int, float | None]:
        seconds = end - time.monotonic()
        fields = [("query", text), ("timeout", f"{max(min(seconds, QUERY_SECONDS), 0.1):.1f}")]
        if at is not None:
            fields.append(("time", f"{at:.3f}"))
        answer = self.server.get("/api/v1/query", seconds, fields)
        return answer.json, answer.size, answer.clock

    def poll(self, end: float, wanted: Sequence[RoomWanted] = ()) -> PrometheusPoll:
        """
        Ask all of a poll until the steady time `end`; raises LabError where the targets are not known.

        GPUs with so much memory free are asked for while that is `wanted` alone.
        """
        job, me = self._settings.job, self._settings.me
        sizes: list[int] = []
        notes: list[str] = []
        asked = time.time()

        def samples(text: str, at: float | None = None) -> tuple[list[Sample], float | None]:
            json, size, clock = self._ask(text, end, at)
            sizes.append(size)
            return parse_samples(self.server.name, json), clock

        def unless_refused(name: str, text: str, at: float) -> list[Sample] | None:
            try:
                return samples(text, at)[0]
            except LabError as error:
                if error.kind is not LabFailure.QUERY:
                    raise
                notes.append(_("{name} could not be asked: {why}").format(name=name, why=error.text))
                return None

        targets = target_queries(job)
        first, clock = samples(targets["scraped"])
        off = None if clock is None else clock - (asked + time.time()) / 2
        scraped = by_instance(first)
        at = first[0].at if first else (clock or asked)
        self._probe(job, scraped, end)
        exporters = self._exporters or (GPUWATCH,)
        down = by_instance(samples(targets["down"], at)[0])
        gone = by_instance(unless_refused("gone", targets["gone"], at) or [])
        values: dict[str, dict[str, float]] = {}
        untold = {"free"}
        queries = host_queries(job, me, exporters) | roomy_queries(job, exporters, wanted)
        for name, text in queries.items() if scraped else ():
            if name.startswith("looks_") and not self._settings.looks_free:
                continue
            # Without these nothing is known of any host.
            rows = samples(text, at)[0] if name in _REQUIRED else unless_refused(name, text, at)
            values[name] = by_instance(rows or [])
            if rows != []:
                untold.discard(name)
        host_alerts = unless_refused("gpuwatch_alert", host_alerts_query(job), at)
        rules = unless_refused("ALERTS", ALERTS, at)
        return PrometheusPoll(
            LabAnswers(
                at,
                scraped,
                down,
                gone,
                values,
                parse_host_alerts(host_alerts or []),
                frozenset(untold),
                tuple(room.memory for room in wanted),
            ),
            self._interval or USUAL_INTERVAL,
            exporters,
            _alert_keys(rules, "firing"),
            _alert_keys(rules, "pending"),
            off,
            sum(sizes),
            tuple(notes),
        )

    def _probe(self, job: str, scraped: dict[str, float], end: float) -> None:
        """Ask once an hour which exporters there are, and how often they are scraped."""
        now = time.monotonic()
        due = self._exporters is None or self._interval is None or now - self._probed > _PROBED_EVERY
        if not scraped or not due:
            return
        self._probed = now
        names = self.query(exporters_query(job, EXPORTERS), end)
        if names:
            self._exporters = found_exporters(sample.labels.get("__name__", "") for sample in names)
        newest = max(scraped, key=lambda instance: scraped[instance])
        times = parse_times(self.server.name, self._ask(scrapes_query(job, newest), end)[0])
        gaps = [later - earlier for earlier, later in pairwise(times)]
        if gaps:
            self._interval = statistics.median(gaps)


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
