"""The errors in a log that the program did not go on from."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.runs.cause import Kind
from gpuwatch_tray.runs.gpu_signs import GPU_SIGNS
from gpuwatch_tray.runs.host_signs import HOST_SIGNS
from gpuwatch_tray.runs.log_tail import LogLine, is_progress
from gpuwatch_tray.runs.sign import Sign, Weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.runs.cause import End


SIGNS: tuple[Sign, ...] = (*GPU_SIGNS, *HOST_SIGNS)
FRESH = 2  # lines of progress after an error that show that the program went on

# An error of which the line itself says that the program goes on.
_MILD = late_pattern(
    r"(?i)\bretrying\b|\bwill retry\b|\bretry (?:\d|loop)|\bfall(?:ing|s)? back\b|\bskipp(?:ed|ing)\b"
    r"|\bignor(?:ed|ing)\b|\bhandled\b|\bas expected\b|\busing \S{1,60} instead\b|\btrying less\b|\bcaught, "
    r"|\bnot a failure\b|\breported 0 times\b|\bgoing to \S{1,80} instead\b"
    r"|\btrying (?:another|the next|the other|again)\b"
)
# Of a level at which a program goes on: Python's logging and warnings, glog, PyTorch, TensorFlow.
_LOW = late_pattern(
    r"(?<![=\w])(?:WARN(?:ING)?|[Ww]arning|INFO|DEBUG|info|[WI]\d{4})\b|\w(?:Warning): |\[[WI][ \d]"
    r"|: [WI] (?:tensorflow|external)/"
)
_LEVEL = 100  # characters of a line in which its level stands
_NCCL_WARN = "NCCL WARN"  # NCCL's level for errors
_LAUNCHERS = late_pattern(
    r"^(?:[\w.]{1,80}\.)?(?:ChildFailedError|CalledProcessError|ProcessExitedException|ProcessRaisedException"
    r"|SignalException)\b"
)
# What a process says when another one is gone.
_AFTERMATH = late_pattern(
    r"^(?:[\w.]{1,80}\.)?(?:BrokenPipeError|EOFError|ConnectionResetError|ConnectionAbortedError|Empty|Full"
    r"|CancelledError|BrokenBarrierError)\b"
)


class Found(Struct, frozen=True):
    """An error in the log: its kind, how heavy it weighs, where it is, and the name of the sign."""

    kind: Kind
    weight: Weight
    at: int
    line: LogLine
    sign: str = ""


_DEATHS = frozenset({"crash of a rank", "kill of a rank", "crash under mpirun", "kill under mpirun"})


# What a command in a script says, which goes on after it unless it was told otherwise.
_OF_COMMANDS = frozenset(
    {"command", "no such file", "no such file in words", "permission", "access denied", "not found"}
)


def pick_cause(errors: Sequence[Found], end: End) -> Found | None:
    """Return the heaviest error, the first among equals; None for none."""
    last = max((error.at for error in errors if error.weight > Weight.HINT), default=-1)
    survived = {error.at for error in errors if _of_command(error) and (error.at < last or end.number)}
    left = [error for error in errors if error.at not in survived]
    found = min(left, key=lambda error: (-error.weight, error.at), default=None)
    if found is not None and found.kind is Kind.COMMUNICATION:
        # A rank that a signal ended is why the others lost it.
        return next((error for error in errors if error.sign in _DEATHS), found)
    return found


def _of_command(error: Found) -> bool:
    return error.sign in _OF_COMMANDS and not error.line.exception


def find_errors(lines: Sequence[LogLine]) -> list[Found]:
    """Return the errors in a log that the program did not go on from, in their order."""
    lowered = [line.text.lower() for line in lines]
    whole = "\n".join(lowered)
    signs = [sign for sign in SIGNS if any(needle in whole for needle in sign.needles)]
    found = []
    for at, (line, low) in enumerate(zip(lines, lowered, strict=True)):
        if line.quoted or _is_mild(line):
            continue
        error = _match(at, line, [sign for sign in signs if any(needle in low for needle in sign.needles)])
        if error is not None:
            found.append(error)
    return _uncleared(lines, found)


def _is_mild(line: LogLine) -> bool:
    """Tell whether a line itself says that it is no more than a warning."""
    if line.exception or _NCCL_WARN in line.text:
        return False
    return _LOW.search(line.text, 0, _LEVEL) is not None or _MILD.search(line.text) is not None


def _match(at: int, line: LogLine, signs: Sequence[Sign]) -> Found | None:
    """Return what the line is a sign of: the heaviest that it shows, the first in the table among equals."""
    best = None
    for sign in signs:
        if (best is None or sign.weight > best.weight) and sign.pattern.search(line.text):
            best = sign
    name = line.exception
    if name and (best is None or best.weight < Weight.PLAIN):
        kind = Kind.ASSERTION if name == "AssertionError" else Kind.EXCEPTION
        if best is None or best.kind is Kind.EXCEPTION:
            return Found(kind, _weight_of(line), at, line)
    return None if best is None else Found(best.kind, best.weight, at, line, best.name)


def _weight_of(line: LogLine) -> Weight:
    """Return what an exception weighs: those of launchers, and those that follow from others, little."""
    if _LAUNCHERS.match(line.text):
        return Weight.HINT
    return Weight.ECHO if _AFTERMATH.match(line.text) else Weight.PLAIN


def _uncleared(lines: Sequence[LogLine], errors: Sequence[Found]) -> list[Found]:
    """Return the errors after which the program, or that rank of it, made no progress any more."""
    progress: dict[str, list[int]] = {}
    every: list[int] = []
    seen: set[str] = set()
    for at, line in enumerate(lines):
        if is_progress(line) and line.text not in seen:
            seen.add(line.text)
            progress.setdefault(line.rank, []).append(at)
            every.append(at)
    left = []
    for error in errors:
        places = progress.get(error.line.rank, []) if error.line.rank else every
        if len(places) - bisect_right(places, error.at) < FRESH:
            left.append(error)
    return left
