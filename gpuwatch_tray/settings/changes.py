"""Whether the three files have changed since they were read, and what they say then."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from gpuwatch_tray.language import _
from gpuwatch_tray.settings import paths
from gpuwatch_tray.settings.kinds import ConfigProblem
from gpuwatch_tray.settings.load import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.settings.kinds import Settings

Loaded: TypeAlias = "tuple[Settings, tuple[ConfigProblem, ...]]"


class Changes:
    """
    Detects changes of the three files. One thread polls it about once a second, at a `stat` of each file.

    An editor writes a file in steps: one that is empty for a moment must not switch off a rule or a
    recipient. So a change counts only when two polls in a row found the files the same, and no other change
    came while they were read. The first poll that finds them at rest reads them as well, for what changed
    while the program started. A file that is gone is a mistake: the home folder may not be mounted.
    """

    def __init__(self, environ: Mapping[str, str], folders: paths.SettingsFolders | None = None) -> None:
        self._environ = environ
        self._folders = folders or paths.settings_folders()
        self._read: tuple[paths.Stamp, ...] | None = None
        self._before: tuple[paths.Stamp, ...] | None = None
        self._there: set[int] = set()  # the files that were there at some time, by their place

    def check(self) -> Loaded | None:
        """Read the files if they have changed and are at rest; return None otherwise."""
        now = self._stamps()
        at_rest, self._before = now == self._before, now
        if now == self._read or not at_rest:
            return None
        settings, problems = load(self._environ, self._folders)
        if self._stamps() != now:
            return None
        self._read = now
        self._there |= {place for place, stamp in enumerate(now) if stamp is not None}
        named = {problem.path for problem in problems}
        return settings, (*(gone for gone in self._gone(now) if gone.path not in named), *problems)

    def _gone(self, stamps: tuple[paths.Stamp, ...]) -> list[ConfigProblem]:
        text = _("is gone: put it back, or start again to go by the defaults")
        files = paths.watched(self._environ, self._folders)
        return [
            ConfigProblem(str(file), None, "", text)
            for place, file in enumerate(files)
            if place in self._there and stamps[place] is None
        ]

    def _stamps(self) -> tuple[paths.Stamp, ...]:
        return paths.stamps(self._environ, self._folders)
