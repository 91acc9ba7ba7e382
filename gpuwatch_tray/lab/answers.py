"""
The answers of Prometheus and Alertmanager as values: checked, bounded and made harmless. Pure.

All texts are foreign: whoever can set a label writes them. What is shown is cut, redacted and without
characters that nobody sees; what is sent back as a matcher stays as it came.
"""

from __future__ import annotations

import math
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import _
from gpuwatch_tray.lab.lab_error import LabError, LabFailure
from gpuwatch_tray.model import HostAlert, RemoteSilence, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

MOST_ROWS = (
    20_000  # of one answer: a host's detail has some 700, the alerts of a whole lab in trouble thousands
)
MOST_LABELS = 40
_NAME_LENGTH, LABEL_LENGTH, TEXT_LENGTH = 100, 200, 400  # characters
_SEVERITIES = {
    Severity.CRITICAL: {"critical", "crit", "page", "error", "fatal", "emergency", "high", "disaster"},
    Severity.INFO: {"info", "information", "informational", "none", "low", "debug", "notice"},
}
HOST_LABELS = ("instance", "host", "hostname", "Hostname", "node", "nodename")
_TEXTS = ("summary", "description", "message", "title")


class Sample(Struct, frozen=True):
    """One series of an instant query at one moment."""

    labels: Mapping[str, str]
    at: float  # wall time of the server
    value: float


class AlertEntry(Struct, frozen=True):
    """An alert as an Alertmanager has it, its labels as they came."""

    fingerprint: str
    labels: Mapping[str, str]
    text: str  # harmless
    since: float  # wall time
    silenced_by: tuple[str, ...]
    inhibited: bool


class SilenceEntry(Struct, frozen=True):
    """A silence as an Alertmanager has it. A matcher is (name, value, is equal, is regular expression)."""

    id: str
    active: bool  # or soon: not over
    matchers: frozenset[tuple[str, str, bool, bool]]
    author: str  # harmless
    comment: str  # harmless
    until: float  # wall time


@lru_cache(maxsize=16_384)  # the same names come with each poll, and redaction looks long
def harmless(text: str, length: int = LABEL_LENGTH) -> str:
    """Cut a foreign text, hide what is secret in it and write what nobody sees as escapes."""
    short = text if len(text) <= length else text[: length - 1] + "…"
    return redact.text(short)


def no_answer(server: str, what: str) -> LabError:
    """Return the error for JSON that is not what was asked for."""
    text = _("{server} answers, but not as {what} does").format(server=server, what=what)
    return LabError(LabFailure.OTHER_PROGRAM, text, _("see the address in lab.env"))


def parse_samples(server: str, answer: Any) -> list[Sample]:
    """Return the series of an instant query's answer; LabError where it is none, or too long."""
    rows = _result(server, answer, "vector")
    samples = []
    for row in rows:
        try:
            labels, (at, value) = row["metric"], row["value"]
            samples.append(Sample(_labels(labels), float(at), float(value)))
        except (TypeError, KeyError, ValueError):
            raise no_answer(server, "Prometheus") from None
    return samples


def warning_of(answer: Any) -> str:
    """Return why an answer may not be whole, as one has it that asks several stores; empty for no reason."""
    warnings = answer.get("warnings") if isinstance(answer, dict) else None
    if not isinstance(warnings, list) or not warnings:
        return ""
    return harmless(redact.one_line(str(warnings[0])))


def parse_times(server: str, answer: Any) -> list[float]:
    """Return the times of one series' samples, in order."""
    rows = _result(server, answer, "matrix")
    try:
        return sorted(float(at) for row in rows for at, _value in row["values"])
    except (TypeError, KeyError, ValueError):
        raise no_answer(server, "Prometheus") from None


def by_instance(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the numbers by the label `instance`; what is no number has no row."""
    return {
        sample.labels["instance"]: sample.value
        for sample in samples
        if 0 < len(sample.labels.get("instance", "")) <= LABEL_LENGTH and not math.isnan(sample.value)
    }


def parse_host_alerts(samples: Sequence[Sample]) -> dict[str, tuple[HostAlert, ...]]:
    """Return what the hosts' own rules have found, by instance; a host where nobody judges is left out."""
    found: dict[str, list[HostAlert]] = {}
    judged: set[str] = set()
    for sample in samples:
        labels = sample.labels
        if "rule" not in labels and sample.value == 0:
            judged.add(labels.get("instance", ""))
        elif sample.value == 1 and labels.get("instance") and labels.get("rule"):
            rule = harmless(labels["rule"], _NAME_LENGTH)
            alert = HostAlert(rule, severity(labels), harmless(labels.get("gpu", ""), _NAME_LENGTH))
            found.setdefault(labels["instance"], []).append(alert)
    return {
        instance: tuple(sorted(found.get(instance, ()), key=lambda alert: (alert.rule, alert.gpu)))
        for instance in judged
    }


def severity(labels: Mapping[str, str]) -> Severity:
    """Return how urgent an alert is; of one that does not say so, a warning."""
    said = labels.get("severity", "").lower()
    return next((level for level, words in _SEVERITIES.items() if said in words), Severity.WARNING)


def host_of(labels: Mapping[str, str]) -> str:
    """Return the label that names the host, as it came; empty where there is none."""
    return next((labels[name] for name in HOST_LABELS if labels.get(name)), "")


def shown_labels(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return labels for people, sorted."""
    return tuple(
        (harmless(name, _NAME_LENGTH), harmless(value))
        for name, value in sorted(labels.items())[:MOST_LABELS]
    )


def parse_alerts(server: str, answer: Any) -> list[AlertEntry]:
    """Return the alerts of `GET /api/v2/alerts`; LabError where the answer is none."""
    alerts = []
    for entry in _list(server, answer):
        try:
            labels, status = _labels(entry["labels"]), entry["status"]
            alerts.append(
                AlertEntry(
                    fingerprint=_word(entry["fingerprint"]),
                    labels=labels,
                    text=_text(entry.get("annotations") or {}),
                    since=_time(entry["startsAt"]),
                    silenced_by=tuple(map(str, status["silencedBy"]))[:MOST_LABELS],
                    inhibited=bool(status["inhibitedBy"]),
                )
            )
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
            raise no_answer(server, "Alertmanager") from None
    return alerts


def parse_silences(server: str, answer: Any) -> list[SilenceEntry]:
    """Return the silences of `GET /api/v2/silences`; LabError where the answer is none."""
    silences = []
    for entry in _list(server, answer):
        try:
            silences.append(
                SilenceEntry(
                    id=_word(entry["id"]),
                    active=entry["status"]["state"] in {"active", "pending"},
                    matchers=frozenset(
                        (
                            str(one["name"]),
                            str(one["value"]),
                            bool(one.get("isEqual", True)),
                            bool(one["isRegex"]),
                        )
                        for one in entry["matchers"]
                    ),
                    author=harmless(str(entry["createdBy"]), _NAME_LENGTH),
                    comment=harmless(str(entry["comment"])),
                    until=_time(entry["endsAt"]),
                )
            )
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
            raise no_answer(server, "Alertmanager") from None
    return silences


def shown_silence(entry: SilenceEntry, ours: Collection[str]) -> RemoteSilence:
    """Return a silence for people."""
    return RemoteSilence(entry.id, entry.author, entry.comment, entry.until, ours=entry.id in ours)


def _result(server: str, answer: Any, kind: str) -> list[Any]:
    try:
        data = answer["data"]
        fits = answer["status"] == "success" and data["resultType"] == kind
        rows = data["result"]
    except (TypeError, KeyError):
        fits, rows = False, None
    if not fits or not isinstance(rows, list):
        raise no_answer(server, "Prometheus")
    return _bounded(server, rows)


def _list(server: str, answer: Any) -> list[Any]:
    if not isinstance(answer, list):
        raise no_answer(server, "Alertmanager")
    return _bounded(server, answer)


def _bounded(server: str, rows: list[Any]) -> list[Any]:
    if len(rows) > MOST_ROWS:
        text = _("{server}: its answer has more than {most} rows").format(server=server, most=MOST_ROWS)
        raise LabError(LabFailure.QUERY, text)
    return rows


def _labels(labels: Any) -> dict[str, str]:
    if not isinstance(labels, dict):
        raise TypeError
    if len(labels) > MOST_LABELS:
        labels = dict(sorted(labels.items())[:MOST_LABELS])
    if not all(isinstance(value, str) for value in labels.values()):
        raise TypeError
    return dict(labels)


def _word(text: Any) -> str:
    """Check an id, which becomes part of addresses and names."""
    if not isinstance(text, str) or not text.isascii() or len(text) > _NAME_LENGTH:
        raise ValueError
    if not text.replace("-", "").isalnum():
        raise ValueError
    return text


def _text(annotations: Mapping[str, Any]) -> str:
    said = next((annotations[name] for name in _TEXTS if annotations.get(name)), "")
    return harmless(str(said), TEXT_LENGTH)


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
