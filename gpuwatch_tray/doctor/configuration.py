"""The check of the settings: every mistake in them, and every warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.doctor.line import CheckResult, ok, problem, warning
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpuwatch_tray.settings import ConfigProblem, Settings
    from gpuwatch_tray.settings.writing import SettingsFile

SETTINGS_TOPIC = "settings"


def check_settings(
    settings: Settings, problems: Sequence[ConfigProblem], files: Sequence[SettingsFile]
) -> Iterator[CheckResult]:
    """Find the files, the mistakes and the warnings; `check_secrets` tells who can read the files."""
    there = [str(place.path) for place in files if place.exists]
    if there:
        yield ok(SETTINGS_TOPIC, _("read from {files}").format(files=", ".join(there)))
    else:
        yield ok(
            SETTINGS_TOPIC,
            _("there are no files: the defaults hold (`gpuwatch-tray setup config` writes some)"),
        )
    for mistake in problems:
        yield problem(SETTINGS_TOPIC, str(mistake), _("correct the line"))
    for text in settings.warnings:
        if "chmod 600" not in text:
            yield warning(SETTINGS_TOPIC, text)
