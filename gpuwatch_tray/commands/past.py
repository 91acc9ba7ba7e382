"""The past of this set-up, for the commands that show it: samples, who used what, alerts."""

from __future__ import annotations

import gc
import logging
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import attending, machine
from gpuwatch_tray.commands.asking import reach
from gpuwatch_tray.context import UsageError, WorkError
from gpuwatch_tray.language import _
from gpuwatch_tray.model import TENS_FOR, GpuFacts, History
from gpuwatch_tray.sampling import alert_marks
from gpuwatch_tray.store import Store
from gpuwatch_tray.store.samplereader import UseDetail, read_samples
from gpuwatch_tray.units import MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpuwatch_tray.context import Setup
    from gpuwatch_tray.control import Handler
    from gpuwatch_tray.store import KnownGpu
    from gpuwatch_tray.watching import Monitor

log = logging.getLogger(__name__)

WRITTEN_WITHIN = 1.5  # seconds: below what `reach` waits for an answer


def past(
    setup: Setup, start: float, end: float, *, finest: int = MINUTE, processes: UseDetail = UseDetail.EACH
) -> History:
    """
    What is on file of the time from `start` to `end` (wall times).

    Raises StoreError, and WorkError for a demo that does not run: its past is nowhere else.

    The last 48 h come by the minute, unless `finest` is TEN_MINUTES. Of the uses of processes there are very
    many; their runs are there whichever are wanted.
    """
    folder = _folder(setup)
    # A month is a million small values without cycles: looking through them took a third of the time.
    gc.disable()
    try:
        found = read_samples(
            folder, setup.state_name, start, end, machine.now().wall, finest=finest, processes=processes
        )
    finally:
        gc.enable()
    with closing(Store(folder, setup.state_name, machine.uptime)) as store:
        inventory = store.gpus()
        over, _ = store.history()
        alerts = [*over, *store.saved_state().alerts]
    gpus = machines(found, inventory)
    keys = [run.key for run in found.runs]
    return replace(found, gpus=gpus, marks=alert_marks(alerts, [gpu.uuid for gpu in gpus], keys, start, end))


def machines(found: History, inventory: Iterable[KnownGpu]) -> tuple[GpuFacts, ...]:
    """The GPUs of that time and those that are missed where they are not here; no others that once were."""
    expected = {gpu.uuid: gpu for gpu in inventory if not gpu.forgotten}
    there = {*expected, *found.samples, *(run.uuid for run in found.runs)}
    sampled = {gpu.uuid: gpu for gpu in found.gpus if gpu.uuid in there}
    others = (gpu for uuid, gpu in expected.items() if uuid not in sampled)
    return (*sampled.values(), *(GpuFacts(gpu.uuid, gpu.index, gpu.name or None) for gpu in others))


def since(length: str, now: float) -> float:
    """The wall time that lies a duration such as `7d` before `now`. Raises UsageError."""
    wrong = UsageError(_("--since: expected a duration such as 12h or 7d, got {text!r}").format(text=length))
    if length.strip().lower() == "tomorrow":
        raise wrong
    try:
        seconds = attending.parse_duration(length, now)
    except ValueError as error:
        raise wrong from error
    return now - min(seconds, TENS_FOR)


def handlers(store: Store, watching: Monitor) -> dict[str, Handler]:
    """What the running program answers: where its past is, all of it written."""

    def record(_request: dict[str, Any]) -> dict[str, Any]:
        watching.record_all(WRITTEN_WITHIN)
        return {"folder": str(store.path.parent)}

    return {"past": record}


def _folder(setup: Setup) -> Path:
    """Where the past is, written up to now where something watches; a demo's is nowhere else."""
    try:
        answer = reach(setup, {"do": "past"})
    except WorkError as error:
        if setup.simulated:
            raise
        log.info("what was seen last may be missing: %s", error)
        answer = None
    if answer is not None:
        return Path(answer["folder"])
    if setup.simulated:
        raise WorkError(_("no demo is running: `gpuwatch-tray --demo` starts one"))
    return setup.settings.state
