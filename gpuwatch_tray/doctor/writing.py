"""The findings as lines and as JSON; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray import terms
from gpuwatch_tray.columns import align_columns, display_width
from gpuwatch_tray.doctor.line import FindingState, worst_state
from gpuwatch_tray.language import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.doctor.line import Finding

SCHEMA = 1


def findings_text(findings: tuple[Finding, ...]) -> Iterator[str]:
    """Yield a line for each finding, with its mend below it, and the numbers of problems and warnings."""
    words = {FindingState.OK: _("ok"), FindingState.WARNING: _("WARNING"), FindingState.PROBLEM: _("PROBLEM")}
    rows = []
    for finding in findings:
        rows.append([words[finding.state], terms.translate_key(finding.topic), finding.text])
        if finding.mend:
            rows.append(["", "", _("mend: {mend}").format(mend=finding.mend)])
    yield from align_columns(rows, left=3, least=max(map(display_width, words.values())))
    warnings, problems = (
        sum(1 for finding in findings if finding.state is state)
        for state in (FindingState.WARNING, FindingState.PROBLEM)
    )
    yield ""
    yield _(", ").join(
        (
            ngettext("{count} problem", "{count} problems", problems).format(count=problems),
            ngettext("{count} warning", "{count} warnings", warnings).format(count=warnings),
        )
    )


def findings_json(findings: tuple[Finding, ...], *, host: str, version: str, at: float) -> dict[str, Any]:
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
        "state": worst_state(findings).value,
        "lines": [
            {"state": finding.state.value, "topic": finding.topic, "text": finding.text, "mend": finding.mend}
            for finding in findings
        ],
    }
