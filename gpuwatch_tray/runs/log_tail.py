"""The end of a log as lines: without colours, progress bars and prefixes, in bounded time and memory."""

from __future__ import annotations

import re

from msgspec import Struct

from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.common.text import strip_escapes

MOST = 256 * 1024  # characters of the end that are read
MOST_LINES = 3000
LONGEST = 2000  # characters of a line: of a longer one the beginning
PREFIXES = 4  # that one line may have before it

# What launchers, log libraries and schedulers put before a line. The group `rank` is the rank.
_PREFIX = late_pattern(
    r"""
    \[(?:rank|default|gpu|worker)[ ]?(?P<a>\d{1,5})\]:?[ ]?  # torchrun, since 2.2; --tee; pdsh
    | \[\d{1,3},(?P<b>\d{1,5})\](?:<std(?:out|err)>)?:[ ]?   # mpirun --tag-output
    | (?P<c>\d{1,4}):[ ]                                     # srun --label
    | \([\w.:-]{1,60}[ ]pid=\d{1,9}(?:,[ ]ip=[\d.]{1,40})?\)[ ]?  # Ray, vLLM
    | (?:ERROR|CRITICAL|FATAL)[ ]\d\d-\d\d[ ]\d\d:\d\d:\d\d[ ]\[[\w.:/ -]{1,60}\][ ]  # vLLM
    | \[\d{4}-\d\d-\d\d[ ]\d\d:\d\d:\d\d(?:[ ](?:TP|DP|PP)\d{1,3}){0,3}\][ ]  # SGLang
      (?:[\w ]{1,40}:[ ](?=Traceback))?
    | std(?:err|out):[ ]                                      # accelerate
    | [IWEF]\d{4}[ ][\d:.]{8,16}[ ]+\d{1,20}[ ]run_docker\.py:\d{1,5}\][ ]  # AlphaFold's container
    """,
    re.VERBOSE,
)
# Progress of training, of a download or of a table: what shows that the program went on.
_PROGRESS = late_pattern(
    r"(?i)\b(?:step|epoch|iter|iteration|it|batch|round|global_step)\b['\"]?[\s:=\[#/]{0,4}\d"
    r"|\bloss\b['\"]?[\s:=]{1,3}\d|\d(?:it|batch|examples|tokens)/s|\d{1,3}%\|"
)
_TRACEBACK = late_pattern(r"Traceback \(most recent call last\)|^\s*╭.{0,80}Traceback|^Original Traceback")
_FRAME = late_pattern(r"^\s{2,8}File \"")
_INDENTED = late_pattern(r"^(?:\s{2,}|[│╭╰])")  # Rich draws a frame around its own
_EXCEPTION = late_pattern(r"^(?:[A-Za-z_][\w.]{0,150}\.)?([A-Za-z_]\w{1,80})(?::\s|:?$)")
# Before a traceback: it is only reported, and the program goes on.
_REPORTED = late_pattern(
    r"^(?:Exception ignored in|--- Logging error ---|Error in atexit|Exception in thread Thread)"
)


class LogLine(Struct):
    """One line; `text` is without what stands before it. `exception`: the name of the one that it reports."""

    text: str
    rank: str = ""
    exception: str = ""
    code: str = ""  # the source line that raised it
    quoted: bool = False  # source code inside a traceback, or a part of one that is only reported


def read_lines(log: str | bytes) -> list[LogLine]:
    """Return the last lines of a log that are not blank, oldest first."""
    text = log.decode("utf-8", "replace") if isinstance(log, bytes) else log
    lines = [_read_line(raw) for raw in strip_escapes(text[-MOST:]).split("\n")[-MOST_LINES:]]
    kept = [line for line in lines if line.text.strip()]
    _mark_tracebacks(kept)
    return kept


def _read_line(raw: str) -> LogLine:
    """Read one line: of one that was written over by carriage returns, what stands there last."""
    pieces = [piece for piece in raw.split("\r") if piece.strip()]
    text = pieces[-1][:LONGEST].replace("\0", "") if pieces else ""
    rank = ""
    for _ in range(PREFIXES):
        found = _PREFIX.match(text)
        if found is None:
            break
        rank = found["a"] or found["b"] or found["c"] or rank
        text = text[found.end() :]
    return LogLine(text, rank)


class _Traceback(Struct):
    """Where a rank is in a traceback."""

    open: bool = False
    in_frame: bool = False
    reported: bool = False
    code: str = ""


def _mark_tracebacks(lines: list[LogLine]) -> None:
    """Mark the source lines and the exceptions of tracebacks, of each rank for itself."""
    states: dict[str, _Traceback] = {}
    for line in lines:
        state = states.setdefault(line.rank, _Traceback())
        if _TRACEBACK.search(line.text):
            line.quoted = True
            state.open, state.in_frame, state.code = True, False, ""
        elif _REPORTED.match(line.text):
            line.quoted = state.reported = True
        elif not state.open:
            state.reported = False
        elif _FRAME.match(line.text):
            line.quoted = state.in_frame = True
        elif _INDENTED.match(line.text):
            line.quoted = True
            if state.in_frame and "^^" not in line.text:
                state.code, state.in_frame = line.text.strip(), False
        else:
            found = _EXCEPTION.match(line.text)
            line.exception = found[1] if found else ""
            line.code, line.quoted = state.code, state.reported
            state.open = state.reported = False


def is_progress(line: LogLine) -> bool:
    """Tell whether a line shows that the program is at work; wandb sums up a run that has ended, too."""
    return (
        not line.text.startswith("wandb")
        and not line.quoted
        and not line.exception
        and _PROGRESS.search(line.text) is not None
    )
