"""
The rules: pure functions from a snapshot and the limits to a verdict.

`RULES` is the one table of them; `judge` runs it. A rule reads no clock and keeps no state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gpuwatch_tray.model import Limits, Snapshot, Verdict
from gpuwatch_tray.rules.gpu_limit import gpu_limit
from gpuwatch_tray.rules.max_etime import max_etime
from gpuwatch_tray.rules.scope import gaps

Rule = Callable[[Snapshot, Limits], Verdict]

RULES: dict[str, Rule] = {"gpu_limit": gpu_limit, "max_etime": max_etime}


def open_questions(snapshot: Snapshot, verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """What kept a rule from judging, a line each: what could not be read, else what the rules say."""
    unknown = (verdict.unknown for verdict in verdicts if verdict.unknown is not None)
    return gaps(snapshot) or tuple(dict.fromkeys(unknown))


def judge(snapshot: Snapshot, limits: Limits) -> tuple[Verdict, ...]:
    """The verdict of every rule on `snapshot`, in the order of the table."""
    return tuple(rule(snapshot, limits) for rule in RULES.values())
