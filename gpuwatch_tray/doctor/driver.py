"""The check of the driver."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.doctor.gpus import check_gpus
from gpuwatch_tray.doctor.line import CheckResult, ok, problem, warning
from gpuwatch_tray.language import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuwatch_tray.model import Limits, Snapshot
    from gpuwatch_tray.sources import Source

DRIVER_TOPIC, EVENTS_TOPIC = "driver", "Xid errors"
# The first read has no events, the second registers for them, by the third the driver has refused or not.
READS = 3
READ_INTERVAL = 0.3  # seconds


def check_driver(
    source: Source, versions: Callable[[], str], limits: Limits, pause: Callable[[float], None] = time.sleep
) -> Iterator[CheckResult]:
    """Check the driver, each GPU and the Xid events; closes `source`. It may hang as the driver does."""
    with closing(source):
        snapshot = source.read()
        for _round in range(READS - 1):
            if snapshot.problem is None and not snapshot.simulated and not snapshot.no_events:
                pause(READ_INTERVAL)
                snapshot = source.read()
        yield from _check_source(snapshot, versions)
        if snapshot.problem is not None:
            return
        yield from check_gpus(snapshot, limits)
        if snapshot.source == "nvml":
            yield _check_events(snapshot)


def _check_source(snapshot: Snapshot, versions: Callable[[], str]) -> Iterator[CheckResult]:
    topic = DRIVER_TOPIC if snapshot.source == "nvml" else "source"
    if snapshot.problem is not None:
        yield problem(topic, redact.text(snapshot.problem.text), redact.text(snapshot.problem.mend))
        return
    whole = sum(1 for gpu in snapshot.gpus if not gpu.physical)
    mig = len(snapshot.gpus) - whole
    parts = [
        versions() if snapshot.source == "nvml" else snapshot.source,
        ngettext("{count} GPU", "{count} GPUs", whole).format(count=whole),
        ngettext("{count} MIG device", "{count} MIG devices", mig).format(count=mig) if mig else "",
    ]
    yield ok(topic, ", ".join(filter(None, parts)))


def _check_events(snapshot: Snapshot) -> CheckResult:
    if snapshot.no_events:
        text = _("{why}: the rules xid_fatal and xid_app cannot fire")
        return warning(EVENTS_TOPIC, text.format(why=redact.text(snapshot.no_events)))
    return ok(EVENTS_TOPIC, _("are heard"))
