"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How bad it is, worst last: a problem is what keeps something from working that is asked for."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Line:
    """One fact: about what, and where something is not as it should be, what mends it."""

    state: State
    topic: str
    text: str
    mend: str = ""


def ok(topic: str, text: str) -> Line:
    """All is well."""
    return Line(State.OK, topic, text)


def warning(topic: str, text: str, mend: str = "") -> Line:
    """Worth a look."""
    return Line(State.WARNING, topic, text, mend)


def problem(topic: str, text: str, mend: str = "") -> Line:
    """It does not work."""
    return Line(State.PROBLEM, topic, text, mend)


def worst(lines: tuple[Line, ...]) -> State:
    """The worst state of them."""
    order = list(State)
    return max((line.state for line in lines), key=order.index, default=State.OK)
