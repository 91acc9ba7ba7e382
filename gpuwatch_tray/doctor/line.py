"""The results of checks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class CheckState(Enum):
    """The state of a result, worst last: a problem keeps something from working that is switched on."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class CheckResult:
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


def worst_state(results: tuple[CheckResult, ...]) -> CheckState:
    """Return the worst state of the results."""
    order = list(CheckState)
    return max((result.state for result in results), key=order.index, default=CheckState.OK)
