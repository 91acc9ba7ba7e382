"""The past of this set-up, for the commands that show it: samples, who used what, alerts."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from gpuwatch_tray.app import open_store
from gpuwatch_tray.model import MINUTE, GpuFacts, History
from gpuwatch_tray.sampling import marks

if TYPE_CHECKING:
    from gpuwatch_tray.context import Setup


def past(
    setup: Setup,
    start: float,
    end: float,
    *,
    finest: int = MINUTE,  # noqa: ARG001  # the samples come with their store
    processes: bool = True,  # noqa: ARG001
) -> History:
    """
    What is on file of the time from `start` to `end` (wall times). Raises StoreError.

    The last 48 h come by the minute, unless `finest` is TEN_MINUTES. Without `processes` the single uses of
    processes are left out, of which there are many; their runs are there all the same.
    """
    with closing(open_store(setup)) as store:
        gpus = tuple(GpuFacts(known.uuid, known.index, known.name or None) for known in store.gpus())
        over, _ = store.history()
        alerts = [*over, *store.memory().alerts]
    return History(start, end, gpus, marks=marks(alerts, [gpu.uuid for gpu in gpus], (), start, end))
