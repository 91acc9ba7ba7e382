"""The history of this machine: samples, uses and alerts."""

from __future__ import annotations

import gc
import logging
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.app.context import UsageError, WorkError
from gpuwatch_tray.app.tray_client import try_request
from gpuwatch_tray.common import host
from gpuwatch_tray.engine import operations
from gpuwatch_tray.history import alert_marks
from gpuwatch_tray.history.sample_reader import UseDetail, read_samples
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import TEN_MINUTE_SAMPLES_KEPT, GpuFacts, History
from gpuwatch_tray.model.units import MINUTE
from gpuwatch_tray.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.store import KnownGpu


log = logging.getLogger(__name__)


def read_history(
    context: RunContext,
    start: float,
    end: float,
    *,
    finest: int = MINUTE,
    processes: UseDetail = UseDetail.EACH,
) -> History:
    """
    Read the history from `start` to `end` (wall times).

    The last 48 h come by the minute, unless `finest` is TEN_MINUTES. The uses of processes are very many:
    `processes` says which are wanted; the processes' runs are always there.

    Raises StoreError, and WorkError for a demo that does not run, whose samples are gone.
    """
    folder = _history_folder(context)
    # A month is a million small objects without cycles: the collector took a third of the time.
    gc.disable()
    try:
        samples = read_samples(
            folder, context.state_name, start, end, host.now().wall, finest=finest, processes=processes
        )
    finally:
        gc.enable()
    with closing(Store(folder, context.state_name, host.uptime)) as store:
        inventory = store.gpus()
        past_alerts, _ = store.history()
        alerts = [*past_alerts, *store.saved_state().alerts]
    gpus = relevant_gpus(samples, inventory)
    keys = [run.key for run in samples.runs]
    return replace(
        samples, gpus=gpus, marks=alert_marks(alerts, [gpu.uuid for gpu in gpus], keys, start, end)
    )


def relevant_gpus(samples: History, inventory: Iterable[KnownGpu]) -> tuple[GpuFacts, ...]:
    """Return the GPUs with samples in that time and those of the inventory, without forgotten ones."""
    expected = {gpu.uuid: gpu for gpu in inventory if not gpu.forgotten}
    there = {*expected, *samples.samples, *(run.uuid for run in samples.runs)}
    sampled = {gpu.uuid: gpu for gpu in samples.gpus if gpu.uuid in there}
    others = (gpu for uuid, gpu in expected.items() if uuid not in sampled)
    return (*sampled.values(), *(GpuFacts(gpu.uuid, gpu.index, gpu.name or None) for gpu in others))


def parse_since(length: str, now: float) -> float:
    """Parse a duration such as `7d` and return the wall time that long before `now`. Raises UsageError."""
    wrong = UsageError(_("--since: expected a duration such as 12h or 7d, got {text!r}").format(text=length))
    if length.strip().lower() == "tomorrow":
        raise wrong
    try:
        seconds = operations.parse_duration(length, now)
    except ValueError as error:
        raise wrong from error
    return now - min(seconds, TEN_MINUTE_SAMPLES_KEPT)


def _history_folder(context: RunContext) -> Path:
    """Return the samples' folder, after the running program has written what it holds."""
    try:
        answer = try_request(context, {"do": "past"})
    except WorkError as error:
        if context.simulated:
            raise
        log.info("the latest samples may be missing: %s", error)
        answer = None
    if answer is not None:
        return Path(answer["folder"])
    if context.simulated:
        raise WorkError(_("no demo is running: `gpuwatch-tray --demo` starts one"))
    return context.settings.state
