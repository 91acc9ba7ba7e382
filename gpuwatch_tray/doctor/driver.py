"""The driver: whether it answers, in which version, and whether it tells of Xid errors."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.doctor import gpus
from gpuwatch_tray.doctor.line import Line, ok, problem, warning
from gpuwatch_tray.language import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuwatch_tray.model import Limits, Snapshot
    from gpuwatch_tray.sources import Source

TOPIC, EVENTS = "driver", "Xid errors"
LOOKS = (
    3  # the first has no events, the second begins to hear, by the third the driver has refused if it does
)
APART = 0.3  # seconds


def look(
    source: Source, versions: Callable[[], str], limits: Limits, pause: Callable[[float], None] = time.sleep
) -> Iterator[Line]:
    """The driver, each GPU, and the events; `source` is closed in the end. It may hang as the driver does."""
    with closing(source):
        snapshot = source.read()
        for _round in range(LOOKS - 1):
            if snapshot.problem is None and not snapshot.simulated and not snapshot.no_events:
                pause(APART)
                snapshot = source.read()
        yield from _source(snapshot, versions)
        if snapshot.problem is not None:
            return
        yield from gpus.look(snapshot, limits)
        if snapshot.source == "nvml":
            yield _events(snapshot)


def _source(snapshot: Snapshot, versions: Callable[[], str]) -> Iterator[Line]:
    topic = TOPIC if snapshot.source == "nvml" else "source"
    found = snapshot.problem
    if found is not None:
        yield problem(topic, redact.text(found.text), redact.text(found.mend))
        return
    whole = sum(1 for gpu in snapshot.gpus if not gpu.physical)
    mig = len(snapshot.gpus) - whole
    parts = [
        versions() if snapshot.source == "nvml" else snapshot.source,
        ngettext("{count} GPU", "{count} GPUs", whole).format(count=whole),
        ngettext("{count} MIG device", "{count} MIG devices", mig).format(count=mig) if mig else "",
    ]
    yield ok(topic, ", ".join(filter(None, parts)))


def _events(snapshot: Snapshot) -> Line:
    if snapshot.no_events:
        text = _("{why}: the rules xid_fatal and xid_app cannot fire")
        return warning(EVENTS, text.format(why=redact.text(snapshot.no_events)))
    return ok(EVENTS, _("are heard"))
