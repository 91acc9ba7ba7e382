"""The lines as people read them, and as JSON; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray import terms
from gpuwatch_tray.columns import align_columns, display_width
from gpuwatch_tray.doctor.line import State, worst
from gpuwatch_tray.language import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.doctor.line import Line

SCHEMA = 1


def as_text(lines: tuple[Line, ...]) -> Iterator[str]:
    """A line each, with its mend below it, and the sum."""
    words = {State.OK: _("ok"), State.WARNING: _("WARNING"), State.PROBLEM: _("PROBLEM")}
    rows = []
    for line in lines:
        rows.append([words[line.state], terms.said(line.topic), line.text])
        if line.mend:
            rows.append(["", "", _("mend: {mend}").format(mend=line.mend)])
    yield from align_columns(rows, left=3, least=max(map(display_width, words.values())))
    warnings, problems = (
        sum(1 for line in lines if line.state is state) for state in (State.WARNING, State.PROBLEM)
    )
    yield ""
    yield _(", ").join(
        (
            ngettext("{count} problem", "{count} problems", problems).format(count=problems),
            ngettext("{count} warning", "{count} warnings", warnings).format(count=warnings),
        )
    )


def as_json(lines: tuple[Line, ...], *, host: str, version: str, at: float) -> dict[str, Any]:
    """
    What `doctor --json` prints.

    `schema` is raised when a field changes its meaning or goes; `state` is the worst of the lines': `ok`,
    `warning` or `problem`; `at` is in seconds since the epoch; `mend` is empty where there is nothing to do.
    """
    return {
        "schema": SCHEMA,
        "version": version,
        "host": host,
        "at": at,
        "state": worst(lines).value,
        "lines": [
            {"state": line.state.value, "topic": line.topic, "text": line.text, "mend": line.mend}
            for line in lines
        ],
    }
