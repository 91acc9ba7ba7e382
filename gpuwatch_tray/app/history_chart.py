"""The picture in a mail, drawn by the process that sends it: the tray never loads Pillow."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gpuwatch_tray.app.bootstrap import WorkError
from gpuwatch_tray.history.sample_reader import UseDetail
from gpuwatch_tray.model import MessageKind
from gpuwatch_tray.rules.temperature import warning_at
from gpuwatch_tray.store import StoreError
from gpuwatch_tray.units import HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.app.bootstrap import RunContext
    from gpuwatch_tray.model import Auto, History, Message


log = logging.getLogger(__name__)

PICTURE_HOURS = 6
MAX_PICTURE_BYTES = 200_000


def picture_drawer(context: RunContext) -> Callable[[Message], bytes]:
    """Return a function that draws the last hours of a mail's GPU; b'' where there is nothing to draw."""
    from gpuwatch_tray.app.history_query import read_history

    def draw(message: Message) -> bytes:
        if message.kind is MessageKind.DIGEST or not message.details.subjects:
            return b""
        end = message.created
        try:
            history = read_history(
                context, end - PICTURE_HOURS * HOUR, end, finest=MINUTE, processes=UseDetail.NONE
            )
        except (StoreError, WorkError) as error:
            log.info("no picture: %s", error)
            return b""
        return draw_picture(history, message.details.subjects, context.settings.limits.heat.warn_at)

    return draw


def draw_picture(history: History, subjects: tuple[str, ...], warn_at: int | Auto | None = None) -> bytes:
    """
    Draw the first GPU that one of `subjects` is about and that has samples, as a PNG.

    `warn_at` is TEMP_LIMIT_C: the temperature in degrees C that is warned of.
    """
    from gpuwatch_tray.drawing.chart import chart
    from gpuwatch_tray.history import gpus_of_alert

    known = [gpu.uuid for gpu in history.gpus if history.samples.get(gpu.uuid)]
    runs = [run.key for run in history.runs]
    named = (uuid for subject in subjects for uuid in gpus_of_alert(subject, known, runs))
    gpu = next((gpu for uuid in named for gpu in history.gpus if gpu.uuid == uuid), None)
    if gpu is None:
        return b""
    gpu_marks = [mark for mark in history.marks if gpu.uuid in mark.uuids]
    limit = None if warn_at is None else warning_at(gpu.slowdown_at, warn_at)
    drawn = chart(gpu, history.samples[gpu.uuid], history.start, history.end, limit=limit, marks=gpu_marks)
    return drawn if len(drawn) <= MAX_PICTURE_BYTES else b""
