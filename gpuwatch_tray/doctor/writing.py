"""The results as lines and as JSON; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray import terms
from gpuwatch_tray.columns import align_columns, display_width
from gpuwatch_tray.doctor.line import CheckState, worst_state
from gpuwatch_tray.language import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.doctor.line import CheckResult

SCHEMA = 1


def results_text(results: tuple[CheckResult, ...]) -> Iterator[str]:
    """Yield a line for each result, with its mend below it, and the numbers of problems and warnings."""
    words = {CheckState.OK: _("ok"), CheckState.WARNING: _("WARNING"), CheckState.PROBLEM: _("PROBLEM")}
    rows = []
    for result in results:
        rows.append([words[result.state], terms.translate_key(result.topic), result.text])
        if result.mend:
            rows.append(["", "", _("mend: {mend}").format(mend=result.mend)])
    yield from align_columns(rows, left=3, least=max(map(display_width, words.values())))
    warnings, problems = (
        sum(1 for result in results if result.state is state)
        for state in (CheckState.WARNING, CheckState.PROBLEM)
    )
    yield ""
    yield _(", ").join(
        (
            ngettext("{count} problem", "{count} problems", problems).format(count=problems),
            ngettext("{count} warning", "{count} warnings", warnings).format(count=warnings),
        )
    )


def results_json(results: tuple[CheckResult, ...], *, host: str, version: str, at: float) -> dict[str, Any]:
    """
    Return what `doctor --json` prints.

    `schema` is raised when a field changes its meaning or goes; `state` is the worst of all lines: `ok`,
    `warning` or `problem`; `at` is in seconds since the epoch; `mend` is empty where there is nothing to do.
    """
    return {
        "schema": SCHEMA,
        "version": version,
        "host": host,
        "at": at,
        "state": worst_state(results).value,
        "lines": [
            {"state": result.state.value, "topic": result.topic, "text": result.text, "mend": result.mend}
            for result in results
        ],
    }
