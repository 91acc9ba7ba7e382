"""Statuses of a lab to show: some hosts in use, some with free GPUs, some that say nothing."""

from __future__ import annotations

from msgspec.structs import replace

from gpuwatch_tray.model import (
    Alert,
    FeedState,
    HostState,
    HostView,
    LabStatus,
    LabView,
    Level,
    RemoteAlert,
    RemoteSilence,
    Severity,
)
from gpuwatch_tray.rules.lab_rules import REMOTE, remote_subject
from gpuwatch_tray.tray import ActionKind
from tests.support.tray_status import GIB, NOW, gpu, process, snapshot, status

OF_LAB = frozenset(
    kind
    for kind in ActionKind
    if kind.name.startswith("LAB_")
    or kind in {ActionKind.ASK_HOST, ActionKind.COPY_SSH, ActionKind.OPEN_LINK}
)  # what only rows about a lab ask for


def well(name, free=0, mine=0, **more):
    """A host that answers, with 8 GPUs unless told otherwise."""
    values = {"gpus": 8, "expected": 8, "free": free, "mine": mine, "hottest": 60, "firing": (), **more}
    if isinstance(mine, int) and mine:
        values.setdefault("oldest_start", NOW - 5 * 3600 - 720)
    if isinstance(free, int) and free:
        values.setdefault("largest_free", 80 * GIB)
    return HostView(name, HostState.OK, NOW - 86_400, **values)


def away(name, state=HostState.DOWN, minutes=12):
    """A host of which nothing is known."""
    return HostView(name, state, NOW - 60 * minutes, reason="connection refused")


def fleet(count=500):
    """Hosts by number: every hundredth is away, one in three has free GPUs, two are one's own."""
    return tuple(
        away(f"h{number:04}") if number % 100 == 50
        else well(f"h{number:04}", free=number % 3 and number % 6, mine=3 if number in {7, 8} else 0)
        for number in range(count)
    )  # fmt: skip


SILENCE = RemoteSilence("s1", "bob", "new fan", NOW + 3600)


def remote(fingerprint="f1", host="h0033", **more):
    values = {"name": "GpuLost", "severity": Severity.CRITICAL, "text": "a GPU is lost", **more}
    return RemoteAlert(fingerprint, host=host, since=NOW - 60, **values)


def lab_alert(of=None, text="h0033: a GPU is lost", **more):
    """An alert of ours, about what an Alertmanager has."""
    subject = remote_subject(of or remote())
    made = Alert(f"lab/{REMOTE}/{subject}", REMOTE, subject, Severity.CRITICAL, text, NOW)
    return replace(made, **more)


def lab_view(*hosts, **more):
    return LabView("Prometheus", NOW, hosts or fleet(3), **{"feed": FeedState.FED, **more})


def lab_status(*hosts, level=Level.OK, headline="3 of 24 GPUs free", alerts=(), view=None, **more):
    shown = lab_view(*hosts) if view is None else view
    return LabStatus(level, headline, NOW, shown, tuple(alerts), **more)


def with_lab(lab, level=Level.OK, **more):
    """The status of this computer beside it."""
    return status(level, **{"lab": lab, "alerts": (), **more})


def told(name="h0007"):
    """What a host says when it is asked GPU by GPU."""
    return snapshot([gpu(0), gpu(1, utilisation=0)], [process(4711, 0, user="ada", mine=True)])
