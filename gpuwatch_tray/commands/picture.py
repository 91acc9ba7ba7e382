"""The mail's picture, drawn by the process that sends: it alone loads the drawing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gpuwatch_tray.context import WorkError
from gpuwatch_tray.model import MessageKind
from gpuwatch_tray.rules.temperature import warning_at
from gpuwatch_tray.store import StoreError
from gpuwatch_tray.store.samplereader import UseDetail
from gpuwatch_tray.units import HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.context import Setup
    from gpuwatch_tray.model import Auto, History, Message

log = logging.getLogger(__name__)

HOURS = 6  # that it shows
MOST = 200_000  # bytes


def drawer(setup: Setup) -> Callable[[Message], bytes]:
    """What draws the last hours of the GPU that a mail is about; b'' where there is nothing to draw."""
    from gpuwatch_tray.commands.past import past

    def draw(message: Message) -> bytes:
        if message.kind is MessageKind.DIGEST or not message.details.subjects:
            return b""
        end = message.created
        try:
            found = past(setup, end - HOURS * HOUR, end, finest=MINUTE, processes=UseDetail.NONE)
        except (StoreError, WorkError) as error:
            log.info("no picture: %s", error)
            return b""
        return of(found, message.details.subjects, setup.settings.limits.heat.warn_at)

    return draw


def of(history: History, subjects: tuple[str, ...], warn_at: int | Auto | None = None) -> bytes:
    """
    The picture of the first GPU that one of these subjects is about and of which something is known.

    `warn_at` is TEMP_LIMIT_C: the temperature in degrees C at which the GPU is warned of.
    """
    from gpuwatch_tray.drawing.chart import chart
    from gpuwatch_tray.sampling import gpus_of_alert

    known = [gpu.uuid for gpu in history.gpus if history.samples.get(gpu.uuid)]
    runs = [run.key for run in history.runs]
    named = (uuid for subject in subjects for uuid in gpus_of_alert(subject, known, runs))
    gpu = next((each for uuid in named for each in history.gpus if each.uuid == uuid), None)
    if gpu is None:
        return b""
    marks = [mark for mark in history.marks if gpu.uuid in mark.uuids]
    limit = None if warn_at is None else warning_at(gpu.slowdown_at, warn_at)
    drawn = chart(gpu, history.samples[gpu.uuid], history.start, history.end, limit=limit, marks=marks)
    return drawn if len(drawn) <= MOST else b""
