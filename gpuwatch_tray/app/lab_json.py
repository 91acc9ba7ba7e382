"""
The answer to `lab` as JSON and as lines; pure.

The keys are the contract of `lab --json`. Times are in seconds since the epoch, memory in bytes; null is
unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray import i18n
from gpuwatch_tray.app.status_json import alert_json
from gpuwatch_tray.common import redact
from gpuwatch_tray.common.text import align_columns
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import Missing, known
from gpuwatch_tray.model.units import local_time, recent_time, rough_duration
from gpuwatch_tray.report.lab_page import STATES
from gpuwatch_tray.rules.lab_rules import host_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpuwatch_tray.model import HostView, LabStatus, RemoteAlert


SCHEMA = 1


def build_lab(status: LabStatus) -> dict[str, Any]:
    """Build the answer to `lab`."""
    view = status.view
    return {
        "schema": SCHEMA,
        "state": status.level.name.lower(),
        "headline": status.headline,
        "at": status.at,
        "source": "" if view is None else view.source,
        "problem": None if view is None or view.problem is None else str(view.problem),
        "hosts": [] if view is None else [_host(host) for host in view.hosts],
        "alerts": [{**alert_json(alert), "host": host_of(alert.subject) or None} for alert in status.alerts],
        "alertmanager": {
            "state": "unknown" if view is None else view.feed.value,
            "problem": None if view is None else view.feed_problem or None,
            "alerts": [] if view is None else [_remote(alert) for alert in view.alerts],
        },
        "snoozed_until": status.snoozed_until,
        "notes": list(status.notes),
    }


def lab_answer(status: LabStatus | None) -> dict[str, Any]:
    """Return the answer of the running program, whose `lab` is None where it watches none."""
    return {"lab": None if status is None or status.elsewhere else build_lab(status)}


def _host(host: HostView) -> dict[str, Any]:
    return {
        "name": host.name,
        "state": host.state.value,
        "since": host.since,
        "reason": host.reason or None,
        "gpus": known(host.gpus),
        "gpus_expected": known(host.expected),
        "free": known(host.free),
        "largest_free_bytes": known(host.largest_free),
        "looks_free": known(host.looks_free),
        "mine": known(host.mine),
        "oldest_start": known(host.oldest_start),
        "clock_s": known(host.clock),
        "hottest_c": known(host.hottest),
        "firing": None
        if isinstance(host.firing, Missing)
        else [
            {"rule": one.rule, "severity": one.severity.name.lower(), "gpu": one.gpu or None}
            for one in host.firing
        ],
    }


def _remote(alert: RemoteAlert) -> dict[str, Any]:
    return {
        "fingerprint": alert.fingerprint,
        "name": alert.name,
        "host": alert.host or None,
        "severity": alert.severity.name.lower(),
        "text": alert.text,
        "since": alert.since,
        "mine": alert.mine,
        "inhibited": alert.inhibited,
        "silences": [
            {"id": one.id, "author": one.author, "comment": one.comment, "until": one.until, "ours": one.ours}
            for one in alert.silences
        ],
    }


def lab_lines(answer: Mapping[str, Any], now: float) -> list[str]:
    """Format the answer for a terminal."""
    return [redact.visible(line) for line in _lines(answer, now)]


def _lines(answer: Mapping[str, Any], now: float) -> Iterator[str]:
    yield f"{i18n.translate_key(answer['state'])}: {answer['headline']}"
    yield _("data of {time}, {age} old").format(
        time=recent_time(answer["at"], now), age=rough_duration(max(0.0, now - answer["at"]))
    )
    hosts = answer["hosts"]
    if hosts:
        yield ""
        heads = (_("host"), _("state"), _("free"), _("GPUs"), _("yours"), "°C")
        rows = [[redact.one_line(cell) for cell in _row(host)] for host in hosts]
        for line, host in zip(align_columns([heads, *rows], 2), [None, *hosts], strict=True):
            why = "" if host is None or not host["reason"] else f"  {redact.one_line(host['reason'])}"
            yield f"{line}{why}".rstrip()
    for title, lines in (
        (_("Alerts here:"), [_alert(alert) for alert in answer["alerts"]]),
        (_("In the Alertmanager:"), [_theirs(alert) for alert in answer["alertmanager"]["alerts"]]),
    ):
        if lines:
            yield ""
            yield title
            yield from lines
    if answer["notes"]:
        yield ""
    yield from (_("note: {note}").format(note=note) for note in answer["notes"])


def _row(host: Mapping[str, Any]) -> list[str]:
    def count(key: str) -> str:
        return "?" if host[key] is None else str(host[key])

    gpus = count("gpus")
    if host["gpus_expected"] is not None and host["gpus_expected"] != host["gpus"]:
        gpus = f"{gpus}/{count('gpus_expected')}"
    state = _(STATES.get(host["state"], host["state"]))
    free, looks = count("free"), host["looks_free"]
    if host["free"] is None and looks is not None:
        free = ngettext("{count} looks free", "{count} look free", looks).format(count=looks)
    return [host["name"], state, free, gpus, count("mine"), count("hottest_c")]


def _alert(alert: Mapping[str, Any]) -> str:
    state = _("acknowledged") if alert["acknowledged"] else i18n.translate_key(alert["phase"])
    severity = i18n.translate_key(alert["severity"])
    text = _("{text} ({state})").format(text=alert["text"], state=state)
    return f"  L{alert['id']}  {severity}  {text}"


def _theirs(alert: Mapping[str, Any]) -> str:
    where = f"{alert['host']}: " if alert["host"] else ""
    silences = [
        _("silenced by {author} until {time}: {comment}").format(
            author=one["author"], time=local_time(one["until"]), comment=one["comment"]
        )
        for one in alert["silences"]
    ]
    state = f" ({'; '.join(silences)})" if silences else ""
    return f"  {i18n.translate_key(alert['severity'])}  {where}{alert['text'] or alert['name']}{state}"
