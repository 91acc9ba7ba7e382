"""The findings of checks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class FindingState(Enum):
    """The state of a finding, worst last: a problem keeps something from working that is switched on."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about a topic; `mend` says what to do where something is wrong."""

    state: FindingState
    topic: str
    text: str
    mend: str = ""


def ok(topic: str, text: str) -> Finding:
    """Make a finding that all is well."""
    return Finding(FindingState.OK, topic, text)


def warning(topic: str, text: str, mend: str = "") -> Finding:
    """Make a finding that deserves attention."""
    return Finding(FindingState.WARNING, topic, text, mend)


def problem(topic: str, text: str, mend: str = "") -> Finding:
    """Make a finding that something does not work."""
    return Finding(FindingState.PROBLEM, topic, text, mend)


def worst_state(findings: tuple[Finding, ...]) -> FindingState:
    """Return the worst state of the findings."""
    order = list(FindingState)
    return max((finding.state for finding in findings), key=order.index, default=FindingState.OK)
