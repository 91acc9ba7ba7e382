"""The mail's picture, drawn by the process that sends: it alone loads the drawing, and has the last samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.model import MINUTE, MessageKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.context import Setup
    from gpuwatch_tray.model import History, Message

HOURS = 6  # that it shows
MOST = 200_000  # bytes


def drawer(setup: Setup) -> Callable[[Message], bytes]:
    """What draws the last hours of the GPU that a mail is about; b'' where it is about none, or nothing is known."""
    from gpuwatch_tray.commands.past import past

    def draw(message: Message) -> bytes:
        if message.kind is MessageKind.DIGEST or not message.details.subjects:
            return b""
        end = message.created
        return of(
            past(setup, end - HOURS * 3600, end, finest=MINUTE, processes=False), message.details.subjects
        )

    return draw


def of(history: History, subjects: tuple[str, ...]) -> bytes:
    """The picture of the first GPU that one of these subjects is about and of which something is known."""
    from gpuwatch_tray.drawing.chart import chart
    from gpuwatch_tray.sampling import concerned

    known = [gpu.uuid for gpu in history.gpus if history.samples.get(gpu.uuid)]
    runs = [run.key for run in history.runs]
    named = (uuid for subject in subjects for uuid in concerned(subject, known, runs))
    gpu = next((each for uuid in named for each in history.gpus if each.uuid == uuid), None)
    if gpu is None:
        return b""
    marks = [mark for mark in history.marks if gpu.uuid in mark.uuids]
    drawn = chart(gpu, history.samples[gpu.uuid], history.start, history.end, marks=marks)
    return drawn if len(drawn) <= MOST else b""
