"""
The lab as the details page shows it: a row for each host, from the answer to `lab`.

Light, for the tray loads it. Every text is one line without secrets, whatever a host calls itself. A count
that is not known is None, never 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.lab_sums import free_text, mine_text, unread_text
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import UNKNOWN, HostState, HostView
from gpuwatch_tray.report.present import clip, level_words, mib
from gpuwatch_tray.rules.every_rule import rule_title

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gpuwatch_tray.model import Field


MOST_ALERTS = 5  # of a host, in its row
MOST_AT_THE_TOP = 20  # alerts above the table
STATES = {
    "ok": N_("ok"),
    "down": N_("does not answer"),
    "blind": N_("cannot read its GPUs"),
    "stale": N_("too old"),
    "gone": N_("gone"),
    "unknown": N_("not known"),
}


def lab_data(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the page's data of the lab; `answer` is what `lab --json` has."""
    words = level_words()
    alerts = [(str(alert["severity"]), clip(redact.text(str(alert["text"])))) for alert in answer["alerts"]]
    return {
        "level": answer["state"],
        "word": words[answer["state"]],
        "headline": clip(redact.text(str(answer["headline"]))),
        "at": answer["at"],
        "alerts": [
            {"level": level, "word": words[level], "text": text} for level, text in alerts[:MOST_AT_THE_TOP]
        ],
        "more": max(len(alerts) - MOST_AT_THE_TOP, 0),
        "sums": _sums(answer["hosts"]),
        "notes": [clip(redact.text(str(note))) for note in answer["notes"]],
        "hosts": list(_hosts(answer)),
    }


def _sums(hosts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is free, one's own and not answering over all hosts, in the words of the menu."""
    if not hosts:
        return []
    views = [
        HostView(
            str(host["name"]),
            HostState(host["state"]),
            gpus=_count(host["gpus"]),
            free=_count(host["free"]),
            looks_free=_count(host["looks_free"]),
            mine=_count(host["mine"]),
        )
        for host in hosts
    ]
    return [text for text in (mine_text(views), free_text(views), unread_text(views)) if text]


def _count(value: int | None) -> Field[int]:
    return UNKNOWN if value is None else value


def _hosts(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    by_host: dict[str, list[tuple[str, str]]] = {}
    for alert in (*answer["alerts"], *answer["alertmanager"]["alerts"]):
        if alert["host"]:
            text = str(alert["text"]) or str(alert.get("name", ""))
            text = text.removeprefix(f"{alert['host']}: ")  # whose row it is
            by_host.setdefault(alert["host"], []).append((str(alert["severity"]), text))
    for host in answer["hosts"]:
        told = by_host.get(host["name"], [])
        told += [(firing["severity"], _firing_text(firing)) for firing in host["firing"] or ()]
        shown = dict.fromkeys((level, clip(redact.text(text))) for level, text in told)
        state = str(host["state"])
        yield {
            "name": clip(redact.text(str(host["name"]))),
            "state": state,
            "word": _(STATES.get(state, state)),
            "reason": clip(redact.text(str(host["reason"] or ""))),
            "since": host["since"],
            "gpus": host["gpus"],
            "expected": host["gpus_expected"],
            "free": host["free"],
            "looks": host["looks_free"],
            "room": mib(host["largest_free_bytes"]),
            "mine": host["mine"],
            "ran": _ran(host, answer["at"]),
            "heat": host["hottest_c"],
            "alerts": [{"level": level, "text": text} for level, text in list(shown)[:MOST_ALERTS]],
            "more": max(len(shown) - MOST_ALERTS, 0),
        }


def _firing_text(firing: Mapping[str, Any]) -> str:
    title = rule_title(str(firing["rule"]))
    return title if firing["gpu"] is None else f"GPU {firing['gpu']}: {title}"


def _ran(host: Mapping[str, Any], at: float) -> float | None:
    """Return for how long one's oldest process has run there: its start is by the host's clock."""
    if host["oldest_start"] is None:
        return None
    return max(at + float(host["clock_s"] or 0.0) - float(host["oldest_start"]), 0.0)
