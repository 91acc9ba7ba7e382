"""What commands print: lines that fit the terminal, errors and warnings."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from gpuwatch_tray.common.text import wrap_hanging
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.doctor.output import CheckResult


WIDTH = 80  # columns, where no terminal says how many


def terminal_width() -> int:
    """
    Return how many columns the terminal has: by COLUMNS, or as it says itself; 80 where there is none.

    As shutil does, which loads bz2 and lzma.
    """
    named = os.environ.get("COLUMNS", "")
    if named.isascii() and named.isdecimal() and int(named):
        return int(named)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or WIDTH  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):  # there is none, it is closed, or it is no terminal
        return WIDTH


def terminal_columns(stream: TextIO | None) -> int | None:
    """Return how wide the terminal behind `stream` is; None where it goes elsewhere."""
    # None in a windowed start on Windows
    return terminal_width() if stream is not None and stream.isatty() else None


def show(text: str, *, stream: TextIO | None = None, hang: int = 0) -> None:
    """
    Print `text`, to standard output by default; on a terminal its long lines are broken at blanks.

    What is broken off stands below the beginning of its line, `hang` columns further in.
    """
    stream = sys.stdout if stream is None else stream
    lines, columns = text.split("\n"), terminal_columns(stream)
    if columns is not None:
        lines = [part for line in lines for part in wrap_hanging(line, columns, hang)]
    print("\n".join(lines), file=stream, flush=True)


def complain(text: str) -> None:
    """Print each line to standard error, after the program's name."""
    for line in text.splitlines():
        show(f"gpuwatch-tray: {line}", stream=sys.stderr, hang=2)


def warn(context: RunContext) -> None:
    """Print what is odd in the settings and no mistake to standard error."""
    for text in context.settings.warnings:
        show(_("warning: {text}").format(text=text), stream=sys.stderr, hang=2)


def show_results(results: tuple[CheckResult, ...]) -> int:
    """Print the results of checks, and return the exit code."""
    from gpuwatch_tray.doctor.output import results_text

    print("\n".join(results_text(results, terminal_columns(sys.stdout))))
    return exit_code(results)


def exit_code(results: Sequence[CheckResult]) -> int:
    """Return 1 where a check found a problem, else 0."""
    from gpuwatch_tray.doctor import CheckState

    return 1 if any(result.state is CheckState.PROBLEM for result in results) else 0
