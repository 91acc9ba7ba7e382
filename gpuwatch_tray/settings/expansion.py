"""Expansion of `$NAME`, `${NAME}` and `~` in the one namespace that Bash gives to all files it sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.settings.bashdata import Assignment, DataError, Script
from gpuwatch_tray.settings.words import Literal, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 65536  # characters of a value: A=$A$A, line after line, grows without end
_BASH_OWN = frozenset(
    name
    for line in (
        "_ COMP_WORDBREAKS DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME GROUPS HISTCMD IFS LINENO",
        "OLDPWD OPTERR OPTIND PIPESTATUS POSIXLY_CORRECT PPID PS4 PWD RANDOM SECONDS SHELLOPTS SHLVL",
        "SRANDOM UID",
    )
    for name in line.split()
)
# What Bash fills in only where neither the environment nor a file says it.
_BASH_DEFAULTS = frozenset({"HOSTNAME", "HOSTTYPE", "MACHTYPE", "OSTYPE", "PATH", "SHELL", "TERM"})
_FILLED_IN = N_("takes in a variable that Bash itself fills in: write its value out")
_KEPT = N_("Bash keeps this name for itself: take another")
_TOO_LONG = N_("longer than {most} characters")


@dataclass(frozen=True, slots=True)
class ExpandedValue:
    """One assignment carried out. `unset` are the variables in it that stood nowhere, empty as in Bash."""

    name: str
    text: str
    line: int
    end: int
    unset: tuple[str, ...] = ()


class Namespace:
    """
    The variables as one file after the other is sourced.

    `home` is the account's folder, what `~` is where HOME is unset.
    """

    def __init__(self, environ: Mapping[str, str], home: str) -> None:
        self._environ = environ
        self._home = home
        self._set: dict[str, str] = {}
        self._broken: set[str] = set()
        self._poisoned: set[str] = set()  # broken, and not set rightly since

    def source(self, script: Script) -> tuple[list[ExpandedValue], list[DataError], frozenset[str]]:
        """
        Carry the script out: every value in order, errors, the names whose assignments came to nothing.

        A value that takes in a name with a broken assignment is left out too, without an error of its own.
        """
        self._broken |= script.broken
        self._poisoned |= script.broken
        values: list[ExpandedValue] = []
        errors: list[DataError] = []
        for command in script.commands:
            waiting: list[ExpandedValue] = []
            for assignment in command.assignments:
                outcome = self._outcome(assignment)
                if isinstance(outcome, ExpandedValue):
                    waiting.append(outcome)
                else:
                    self._broken.add(assignment.name)
                    self._poisoned.add(assignment.name)
                    errors += [DataError(assignment.line, assignment.name, outcome)] if outcome else []
                if not command.export:
                    self._assign(waiting, values)
            self._assign(waiting, values)
        return values, errors, frozenset(self._broken)

    def _assign(self, waiting: list[ExpandedValue], values: list[ExpandedValue]) -> None:
        self._set.update((value.name, value.text) for value in waiting)
        self._poisoned.difference_update(value.name for value in waiting)
        values += waiting
        waiting.clear()

    def _outcome(self, assignment: Assignment) -> ExpandedValue | str:
        """Return the value, or what is wrong with it ('' where an error says so already)."""
        used = [piece.name for piece in assignment.pieces if isinstance(piece, Reference)]
        if _of_bash(assignment.name):
            return _(_KEPT)
        if any(map(self._filled_in, used)):
            return _(_FILLED_IN)
        if not self._poisoned.isdisjoint(used):
            return ""
        text = ""
        unset: list[str] = []
        for piece in assignment.pieces:
            found = piece.text if isinstance(piece, Literal) else self._look_up(piece)
            if found is None and isinstance(piece, Reference):
                unset.append(piece.name)
            text += found or ""
            if len(text) > LONGEST:
                return _(_TOO_LONG).format(most=LONGEST)
        return ExpandedValue(assignment.name, text, assignment.line, assignment.end, tuple(unset))

    def _look_up(self, reference: Reference) -> str | None:
        found = self._set.get(reference.name, self._environ.get(reference.name))
        return self._home if found is None and reference.home else found

    def _filled_in(self, name: str) -> bool:
        known = name in self._set or name in self._environ
        return _of_bash(name) or (name in _BASH_DEFAULTS and not known)


def _of_bash(name: str) -> bool:
    return name in _BASH_OWN or name.startswith("BASH")
