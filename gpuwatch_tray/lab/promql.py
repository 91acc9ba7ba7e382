"""
The questions of a poll in PromQL, by the metrics that the hosts' exporters have.

Each is one small instant query, asked of the same moment, that gives one number a host (label `instance`).
They are so put that nothing good follows from the absence of a row: a host counts as read, free or without
one's processes only where a row says so.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.lab.alert_feed import WATCHDOG
from gpuwatch_tray.lab.answers import HOST_LABELS
from gpuwatch_tray.lab.exporters import GPUWATCH
from gpuwatch_tray.model.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gpuwatch_tray.lab.exporters import Exporter
    from gpuwatch_tray.model import RoomWanted

GONE_WINDOW = "1h"  # for how long Prometheus is asked for hosts that were taken off its list
SCRAPED = "gpuwatch_scraped"
_ALERT_LABELS = ", ".join(("alertname", "alertstate", *HOST_LABELS))
# What fires always and does not now says that the rules are gone; who has just started has not seen it fire.
SILENT, WATCHDOG_WINDOW = "silent", "1d"
_WATCHDOGS = f'last_over_time(ALERTS{{alertname=~".*{WATCHDOG}"}}[{WATCHDOG_WINDOW}])'
ALERTS = (
    f"count by ({_ALERT_LABELS}) (ALERTS) or count by ({_ALERT_LABELS}) (label_replace("
    f'{_WATCHDOGS} unless on (alertname) ALERTS, "alertstate", "{SILENT}", "", ""))'
)


def quote(text: str) -> str:
    """Write a text as PromQL has strings: those of Go, as JSON's are."""
    return json.dumps(text, ensure_ascii=False)


def selector(**labels: str) -> str:
    """Write the matchers for these labels, without braces."""
    return ",".join(f"{name}={quote(value)}" for name, value in labels.items())


def target_queries(job: str) -> dict[str, str]:
    """Return the questions about the targets of a job: what Prometheus itself knows of them."""
    up = f"up{{{selector(job=job)}}}"
    return {
        # Of two targets with one name the worse counts.
        "scraped": f"min by (instance) (timestamp({up}))",
        "down": f"min by (instance) ({up}) == 0",
        "gone": f"count by (instance) (last_over_time({up}[{GONE_WINDOW}])) unless on (instance) {up}",
    }


def host_queries(job: str, me: str, exporters: tuple[Exporter, ...]) -> dict[str, str]:
    """Return the questions about the hosts' GPUs, by name; one that no exporter answers is left out."""
    # Our own exporter may tell users by other names that stand for them.
    names = "|".join(map(re.escape, (me, redact.pseudonym(me))))
    places = {"$JOB": selector(job=job), "$ME": quote(me), "$NAMES": quote(names)}
    asked: dict[str, list[str]] = {}
    for exporter in exporters:
        for name, text in exporter.queries.items():
            if not me and ("$ME" in text or "$NAMES" in text):
                continue
            asked.setdefault(name, []).append(_filled(text, places))
    return {name: _either(parts) for name, parts in asked.items()}


def roomy_queries(job: str, exporters: tuple[Exporter, ...], wanted: Iterable[RoomWanted]) -> dict[str, str]:
    """
    Return the questions about free GPUs with memory free: names as `roomy_name` has them.

    A row comes from a host alone that has as many as are wanted: there are few.
    """
    questions: dict[str, str] = {}
    for room in wanted:
        places = {"$JOB": selector(job=job), "$BYTES": str(room.memory), "$MIB": repr(room.memory / MIB)}
        for looks in (False, True):
            texts = [exporter.looks_roomy if looks else exporter.roomy for exporter in exporters]
            parts = [_filled(text, places) for text in texts if text]
            if parts:
                questions[roomy_name(room.memory, looks=looks)] = f"({_either(parts)}) >= {room.least}"
    return questions


def roomy_name(memory: int, *, looks: bool) -> str:
    """Return the name of the question about free GPUs, or those that look so, with so many bytes free."""
    return f"{'looks_' if looks else ''}roomy {memory}"


def _filled(text: str, places: Mapping[str, str]) -> str:
    return re.sub(r"\$[A-Z]+", lambda place: places[place[0]], text)


LACKS, LACKING_WINDOW = "lacks", "6h"
LASTING = {  # what a host tells at each reading, by the names of `host_queries`
    "gpus": "gpuwatch_gpus_visible{$JOB}",
    "expected": "gpuwatch_gpus_expected{$JOB}",
    "free": "gpuwatch_gpus_free{$JOB}",
    "hottest": "gpuwatch_hottest_gpu_celsius{$JOB}",
}
FIRING = "firing"  # the same of `host_alerts_query`


def lacking_query(job: str) -> str:
    """
    Ask which hosts have told something before and do not now: a row for each, with its name as label LACKS.

    Who has just started has not seen them tell it.
    """
    metrics = {name: text.replace("$JOB", selector(job=job)) for name, text in LASTING.items()}
    parts = [f"last_over_time({metric}[{LACKING_WINDOW}]) unless {metric}" for metric in metrics.values()]
    evaluated = f"gpuwatch_alerts_evaluated{{{selector(job=job)}}}"
    parts.append(f"max_over_time({evaluated}[{LACKING_WINDOW}]) == 1 unless on (instance) {evaluated} == 1")
    return " or ".join(
        f'label_replace(count by (instance) ({part}), "{LACKS}", "{name}", "", "")'
        for name, part in zip((*metrics, FIRING), parts, strict=True)
    )


def _either(parts: list[str]) -> str:
    """Ask each exporter's hosts by its own metrics; a host that has two is read by the first."""
    return parts[0] if len(parts) == 1 else " or on (instance) ".join(f"({part})" for part in parts)


def exporters_query(job: str, exporters: tuple[Exporter, ...]) -> str:
    """Ask which exporters there are, by a metric that each always has."""
    names = "|".join(exporter.sign for exporter in exporters)
    return f"count by (__name__) ({{__name__=~{quote(names)},{selector(job=job)}}})"


def scrapes_query(job: str, instance: str) -> str:
    """Ask for when one target was scraped within the last minutes: the samples themselves."""
    return f"up{{{selector(job=job, instance=instance)}}}[5m]"


def detail_query(job: str, instance: str) -> str:
    """Ask for all that the exporter of one host tells, some 45 KB, and when it was asked: label SCRAPED."""
    matchers = selector(job=job, instance=instance)
    told = f"{{__name__=~{quote(GPUWATCH.prefix + '.+')},{matchers}}}"
    # All rows of an instant query have the time of the question.
    asked = f"timestamp(gpuwatch_reading_ok{{{matchers}}})"
    return f'{told} or label_replace({asked}, "{SCRAPED}", "1", "", "")'


def host_alerts_query(job: str) -> str:
    """Ask for what the hosts' own rules have found; a host where they are asked and find nothing has a 0."""
    matchers = selector(job=job)
    found = f"max by (instance, rule, severity, gpu) (gpuwatch_alert{{{matchers}}} == 1)"
    return f"{found} or (0 * (min by (instance) (gpuwatch_alerts_evaluated{{{matchers}}}) == 1))"
