"""The results as lines and as JSON; pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gpuwatch_tray import i18n
from gpuwatch_tray.common.text import align_columns, display_width, wrap_to_width
from gpuwatch_tray.i18n import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Iterator


class CheckState(Enum):
    """The state of a result, worst last: a problem keeps something from working that is switched on."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class CheckResult(Struct, frozen=True):
    """One fact about a topic; `mend` says what to do where something is wrong."""

    state: CheckState
    topic: str
    text: str
    mend: str = ""


def ok(topic: str, text: str) -> CheckResult:
    """Make a result that all is well."""
    return CheckResult(CheckState.OK, topic, text)


def warning(topic: str, text: str, mend: str = "") -> CheckResult:
    """Make a result that deserves attention."""
    return CheckResult(CheckState.WARNING, topic, text, mend)


def problem(topic: str, text: str, mend: str = "") -> CheckResult:
    """Make a result that something does not work."""
    return CheckResult(CheckState.PROBLEM, topic, text, mend)


SCHEMA = 1


def results_text(results: tuple[CheckResult, ...], columns: int | None = None) -> Iterator[str]:
    """
    Yield a line for each result, with its mend below it, and the numbers of problems and warnings.

    With `columns` a text that is longer goes on in its own column.
    """
    words = {CheckState.OK: _("ok"), CheckState.WARNING: _("WARNING"), CheckState.PROBLEM: _("PROBLEM")}
    topics = {result.topic: i18n.translate_key(result.topic) for result in results}
    least = max(map(display_width, words.values()))
    before = least + max(map(display_width, topics.values()), default=0) + 4  # with the gaps between them
    rows = []
    for result in results:
        texts = [result.text, *([_("fix: {mend}").format(mend=result.mend)] if result.mend else [])]
        if columns is not None:
            texts = [part for text in texts for part in wrap_to_width(text, columns - before)]
        heads = [[words[result.state], topics[result.topic]], *([["", ""]] * (len(texts) - 1))]
        rows += [[*head, text] for head, text in zip(heads, texts, strict=True)]
    yield from align_columns(rows, left=3, least=least)
    states = [result.state for result in results]
    warnings, problems = states.count(CheckState.WARNING), states.count(CheckState.PROBLEM)
    yield ""
    yield _(", ").join(
        (
            ngettext("{count} problem", "{count} problems", problems).format(count=problems),
            ngettext("{count} warning", "{count} warnings", warnings).format(count=warnings),
        )
    )


def results_json(results: tuple[CheckResult, ...], *, host: str, version: str, at: float) -> dict[str, Any]:
    """Return what `doctor --json` prints; `schema` is raised when a field changes its meaning or goes."""
    worst = max((result.state for result in results), key=list(CheckState).index, default=CheckState.OK)
    return {
        "schema": SCHEMA,
        "version": version,
        "host": host,
        "at": at,
        "state": worst.value,
        "lines": [
            {"state": result.state.value, "topic": result.topic, "text": result.text, "mend": result.mend}
            for result in results
        ],
    }
