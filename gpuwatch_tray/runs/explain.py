"""Why a run ended: the first error in its log that it did not survive, joined with what the machine told."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.rules.hardware import APP_XIDS, FATAL_XIDS
from gpuwatch_tray.runs.cause import Cause, Confidence, Exited, Kind, RunFacts, Signalled, Unseen
from gpuwatch_tray.runs.gpu_signs import GPU_SIGNS
from gpuwatch_tray.runs.host_signs import HOST_SIGNS
from gpuwatch_tray.runs.log_tail import LogLine, is_progress, read_lines
from gpuwatch_tray.runs.sentences import Story, fix_of, sentence_of
from gpuwatch_tray.runs.sign import Sign, Weight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.model import Xid
    from gpuwatch_tray.runs.cause import End


SIGNS: tuple[Sign, ...] = (*GPU_SIGNS, *HOST_SIGNS)
FRESH = 2  # lines of progress after an error that show that the program went on
EVIDENCE = 300  # characters of the line that is shown
ABOVE = 3  # lines that are redacted together with it, as a secret may begin there

# An error that the line itself says the program goes on from.
_MILD = re.compile(
    r"(?i)\bretrying\b|\bwill retry\b|\bretry (?:\d|loop)|\bfall(?:ing|s)? back\b|\bskipp(?:ed|ing)\b"
    r"|\bignor(?:ed|ing)\b|\bhandled\b|\bas expected\b|\busing \S{1,60} instead\b|\btrying less\b|\bcaught, "
    r"|\bnot a failure\b|\breported 0 times\b"
)
# Of a level at which a program goes on: Python's logging, warnings, glog, PyTorch, TensorFlow.
_LOW = re.compile(
    r"(?<![=\w])(?:WARN(?:ING)?|[Ww]arning|INFO|DEBUG|info|[WI]\d{4})\b|\w(?:Warning): |\[[WI][ \d]|: [WI] (?:tensorflow|external)/"
)
_LEVEL = 100  # characters of a line in which its level stands
_NCCL_WARN = "NCCL WARN"  # NCCL's level for errors


@dataclass(frozen=True, slots=True)
class Found:
    """An error in the log: its kind, how heavy it weighs, and where it is."""

    kind: Kind
    weight: Weight
    at: int
    line: LogLine


def explain_end(log: str | bytes, end: End, facts: RunFacts | None = None) -> Cause:
    """
    Explain why a run ended, from the end of its log, from how it ended and from what the machine told.

    Pure; takes time in proportion to the part of the log that is read, which is bounded (`log_tail`).
    """
    facts = facts or RunFacts()
    lines = read_lines(log)
    errors = find_errors(lines)
    if end == Exited(0):
        return _success(lines, errors, end, facts)
    found = min(errors, key=lambda error: (-error.weight, error.at), default=None)
    kind, confidence = _decide(found, end, facts)
    shown = found if found is not None and found.kind is kind else None
    if shown is None and kind in {Kind.DISK_FULL, Kind.XID, Kind.GPU_LOST, Kind.HOST_MEMORY, Kind.DRIVER_MISMATCH}:
        shown = found  # what followed from it
    line = shown.line if shown else LogLine("")
    evidence = _evidence(lines, shown) if shown else ""
    if kind is Kind.UNKNOWN and lines:
        evidence = _evidence(lines, Found(kind, Weight.HINT, len(lines) - 1, lines[-1]))
    if kind is Kind.HOST_MEMORY and not evidence and facts.kernel_lines:
        evidence = redact.text(facts.kernel_lines[-1])
    story = Story(kind, end, facts, line, evidence)
    return Cause(kind, sentence_of(story), evidence, fix_of(story), confidence, rank=story.rank)


def _success(lines: Sequence[LogLine], errors: Sequence[Found], end: End, facts: RunFacts) -> Cause:
    """Return a success; one that may be none where the very last line is a grave error."""
    last = errors[-1] if errors else None
    grave = last is not None and last.weight >= Weight.ROOT and last.at == len(lines) - 1
    if last is None or not grave or not (last.line.exception or last.weight is Weight.DECISIVE):
        return Cause(Kind.SUCCESS, sentence_of(Story(Kind.SUCCESS, end, facts)), confidence=Confidence.CERTAIN)
    evidence = _evidence(lines, last)
    story = Story(Kind.SUCCESS, end, facts, last.line, evidence, swallowed=True)
    fix = fix_of(story)
    return Cause(Kind.SUCCESS, sentence_of(story), evidence, fix, Confidence.LIKELY, swallowed=last.kind)


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
    return None if best is None else Found(best.kind, best.weight, at, line)


_LAUNCHERS = re.compile(r"^(?:[\w.]*\.)?(?:ChildFailedError|CalledProcessError|ProcessExitedException|ProcessRaisedException|SignalException)\b")
_AFTERMATH = re.compile(r"^(?:[\w.]*\.)?(?:BrokenPipeError|EOFError|ConnectionResetError|ConnectionAbortedError|Empty|Full|CancelledError|BrokenBarrierError)\b")


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


# ---- how it ended, and what the machine told

OF_SIGNALS = {
    1: Kind.LOGOUT,  # SIGHUP
    2: Kind.STOPPED,  # SIGINT
    3: Kind.STOPPED,  # SIGQUIT
    4: Kind.CRASH,  # SIGILL
    6: Kind.CRASH,  # SIGABRT
    7: Kind.CRASH,  # SIGBUS
    8: Kind.CRASH,  # SIGFPE
    9: Kind.KILLED,  # SIGKILL
    11: Kind.CRASH,  # SIGSEGV
    15: Kind.STOPPED,  # SIGTERM
    24: Kind.TIME_LIMIT,  # SIGXCPU
}
SIGBUS, ENDING_SIGNALS = 7, frozenset({1, 2, 9, 15, 24})
TIMED_OUT = 124  # the exit code of coreutils' `timeout`
NEAR = 60.0  # seconds around a deadline
SOON = 120.0  # seconds after an Xid that a program caused, in which it ends of it
HELD = 3600.0  # seconds after a grave Xid in which ranks may still wait for the GPU: twice NCCL's old limit
_OF_GPU = re.compile(r"(?i)cuda|nccl|\bgpu\b|nvml")
_WRITING = re.compile(r"(?i)input/output error|PytorchStreamWriter|write failed|failed writing|unexpected pos|write\(\)")
_SHM = "/dev/shm"  # noqa: S108  # only named
_BLAMED = frozenset({Kind.XID, Kind.ILLEGAL_ACCESS, Kind.COMMUNICATION, Kind.NO_GPU, Kind.GPU_LIBRARY, Kind.CRASH, Kind.KILLED, Kind.GPU_LOST})
_SOFT = frozenset({Kind.DATA_WORKER, Kind.COMMUNICATION, Kind.KILLED, Kind.STOPPED, Kind.LOGOUT, Kind.CRASH})


def _open(found: Found | None, end: End) -> bool:
    """Tell whether the log leaves it open what ended the run, so that the machine may tell."""
    if found is None or found.weight <= Weight.ECHO:
        return True
    if found.weight >= Weight.ROOT:
        return False
    return found.kind in _SOFT or (isinstance(end, Signalled) and end.number in ENDING_SIGNALS)


def _of_gpu(found: Found | None, _end: End) -> bool:
    """Tell whether what the log shows can follow from a fault of the GPU."""
    if found is None or found.kind in _BLAMED or found.weight <= Weight.ECHO:
        return True
    return found.kind is Kind.EXCEPTION and _OF_GPU.search(found.line.text) is not None


def _xids(facts: RunFacts, codes: dict[int, str], within: float) -> tuple[Xid, ...]:
    return tuple(xid for xid in facts.xids if xid.code in codes and facts.ended - xid.at <= within)


def _deadline_passed(facts: RunFacts, end: End) -> bool:
    if facts.deadline is not None and abs(facts.ended - facts.deadline) <= NEAR:
        return True
    program = os.path.basename(facts.command[0]) if facts.command else ""
    return program == "timeout" and isinstance(end, Exited) and end.code in {TIMED_OUT, 137}


@dataclass(frozen=True, slots=True)
class FactRule:
    """One row of the table: `kind` follows where the log leaves it open (`open`) and the facts show it."""

    kind: Kind
    confidence: Confidence
    open: Callable[[Found | None, End], bool]
    shown: Callable[[RunFacts, End], bool]


LOST_XID = 79
CERTAIN, LIKELY = Confidence.CERTAIN, Confidence.LIKELY
# In this order; sources: NVIDIA's Xid catalogue, kernel's cgroup-v2.rst (memory.events), signal(7), timeout(1).
FACT_RULES = (
    FactRule(Kind.GPU_LOST, CERTAIN, _of_gpu,
        lambda facts, _end: any(gpu.lost for gpu in facts.gpus) or any(xid.code == LOST_XID for xid in facts.xids)),
    FactRule(Kind.XID, CERTAIN, _of_gpu, lambda facts, _end: bool(_xids(facts, FATAL_XIDS, HELD))),
    FactRule(Kind.DRIVER_MISMATCH, CERTAIN,
        lambda found, _end: found is not None and found.kind in {Kind.NO_GPU, Kind.GPU_LIBRARY},
        lambda facts, _end: facts.mismatch),
    FactRule(Kind.HOST_MEMORY, CERTAIN, _open,
        lambda facts, _end: facts.oom_kills > 0 or any("ut of memory" in line for line in facts.kernel_lines)),
    FactRule(Kind.SHARED_MEMORY, LIKELY, _open,
        lambda facts, end: end.number == SIGBUS and any(folder.path.startswith(_SHM) for folder in facts.full)),
    FactRule(Kind.DISK_FULL, LIKELY,
        lambda found, _end: found is not None and found.weight <= Weight.PLAIN and bool(_WRITING.search(found.line.text)),
        lambda facts, _end: bool(facts.full)),
    FactRule(Kind.LOGOUT, LIKELY, _open,
        lambda facts, end: facts.session_ended and (end.number in ENDING_SIGNALS or isinstance(end, Unseen))),
    FactRule(Kind.TIME_LIMIT, LIKELY, _open, _deadline_passed),
    FactRule(Kind.STOPPED, CERTAIN, _open, lambda facts, end: bool(facts.sender) and end.number > 0),
    FactRule(Kind.XID, LIKELY,
        lambda found, _end: found is None or found.kind in {Kind.XID, Kind.CRASH, Kind.COMMUNICATION, Kind.EXCEPTION} and _of_gpu(found, _end),
        lambda facts, end: bool(_xids(facts, APP_XIDS, SOON)) and end.number not in {1, 2, 15}),
)  # fmt: skip

_BY_WEIGHT = {
    Weight.HINT: Confidence.POSSIBLE,
    Weight.ECHO: Confidence.POSSIBLE,
    Weight.PLAIN: Confidence.LIKELY,
    Weight.PARTIAL: Confidence.LIKELY,
    Weight.ROOT: Confidence.CERTAIN,
    Weight.DECISIVE: Confidence.CERTAIN,
}


def _decide(found: Found | None, end: End, facts: RunFacts) -> tuple[Kind, Confidence]:
    """Return the kind of the cause, and how sure it is."""
    for rule in FACT_RULES:
        if rule.open(found, end) and rule.shown(facts, end):
            return rule.kind, rule.confidence
    if found is not None and found.weight > Weight.ECHO:
        return found.kind, _BY_WEIGHT[found.weight]
    if end.number in OF_SIGNALS:
        return OF_SIGNALS[end.number], Confidence.LIKELY
    if isinstance(end, Exited) and end.code == TIMED_OUT:
        return Kind.TIME_LIMIT, Confidence.POSSIBLE
    if found is not None and found.weight is Weight.ECHO:
        return found.kind, Confidence.POSSIBLE
    return Kind.UNKNOWN, Confidence.POSSIBLE


def _evidence(lines: Sequence[LogLine], found: Found) -> str:
    """Return the line that shows an error, redacted together with those above it, and cut."""
    around = "\n".join(line.text for line in lines[max(0, found.at - ABOVE) : found.at + 1])
    line = redact.lines(around)[-1].strip()
    if found.line.code and line == found.line.exception:  # a bare `AssertionError` tells nothing
        line = f"{line}: {redact.text(found.line.code)}"
    return line if len(line) <= EVIDENCE else f"{line[: EVIDENCE - 1]}…"
