"""The settings: every mistake in them, and what is worth a look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.doctor.line import Line, ok, problem, warning
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpuwatch_tray.settings import ConfigProblem, Settings
    from gpuwatch_tray.settings.writing import SettingsFile

TOPIC = "settings"


def look(
    settings: Settings, problems: Sequence[ConfigProblem], files: Sequence[SettingsFile]
) -> Iterator[Line]:
    """The files that are read, the mistakes, the warnings; who may read the secrets is told elsewhere."""
    there = [str(place.path) for place in files if place.exists]
    if there:
        yield ok(TOPIC, _("read from {files}").format(files=", ".join(there)))
    else:
        yield ok(TOPIC, _("there are no files: the defaults hold (`gpuwatch-tray setup config` writes some)"))
    for each in problems:
        yield problem(TOPIC, str(each), _("correct the line"))
    for text in settings.warnings:
        if "chmod 600" not in text:
            yield warning(TOPIC, text)
