"""Why a run ended: the first error in its log that it did not survive, joined with what the machine told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import _
from gpuwatch_tray.runs.cause import Cause, Confidence, Exited, Kind, RunFacts
from gpuwatch_tray.runs.fact_rules import decide
from gpuwatch_tray.runs.log_errors import Found, find_errors, pick_cause
from gpuwatch_tray.runs.log_tail import LogLine, read_lines
from gpuwatch_tray.runs.sentences import Story, fix_of, sentence_of
from gpuwatch_tray.runs.sign import Weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.runs.cause import End


EVIDENCE = 300  # characters of the line that is shown
ABOVE = 3  # lines that are redacted together with it, as a secret may begin there
# Of these the log shows what followed from them.
_BEHIND = frozenset({Kind.DISK_FULL, Kind.XID, Kind.GPU_LOST, Kind.HOST_MEMORY, Kind.DRIVER_MISMATCH})


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
    found = pick_cause(errors, end)
    kind, confidence = decide(found, end, facts)
    shown = found if found is not None and (found.kind is kind or kind in _BEHIND) else None
    evidence = _evidence(lines, shown) if shown else ""
    if kind is Kind.UNKNOWN and lines:
        evidence = _evidence(lines, Found(kind, Weight.HINT, len(lines) - 1, lines[-1]))
    if kind is Kind.HOST_MEMORY and not evidence and facts.kernel_lines:
        evidence = redact.text(facts.kernel_lines[-1])
    story = Story(kind, end, facts, shown.line if shown else LogLine(""), evidence)
    sentence = sentence_of(story)
    if confidence is Confidence.POSSIBLE and kind is not Kind.UNKNOWN:
        sentence = _("probably: {sentence}").format(sentence=sentence)
    return Cause(kind, sentence, evidence, fix_of(story), confidence, rank=story.rank)


def _success(lines: Sequence[LogLine], errors: Sequence[Found], end: End, facts: RunFacts) -> Cause:
    """Return a success; one that may be none where the very last line is a grave error."""
    last = errors[-1] if errors else None
    grave = last is not None and last.weight >= Weight.ROOT and last.at == len(lines) - 1
    if last is None or not grave or not (last.line.exception or last.weight is Weight.DECISIVE):
        return Cause(
            Kind.SUCCESS, sentence_of(Story(Kind.SUCCESS, end, facts)), confidence=Confidence.CERTAIN
        )
    evidence = _evidence(lines, last)
    story = Story(Kind.SUCCESS, end, facts, last.line, evidence, swallowed=True)
    fix = fix_of(story)
    return Cause(Kind.SUCCESS, sentence_of(story), evidence, fix, Confidence.LIKELY, swallowed=last.kind)


def _evidence(lines: Sequence[LogLine], found: Found) -> str:
    """Return the line that shows an error, redacted together with those above it, and cut."""
    around = "\n".join(line.text for line in lines[max(0, found.at - ABOVE) : found.at + 1])
    line = redact.lines(around)[-1].strip()
    if found.line.code and line == found.line.exception:  # a bare `AssertionError` tells nothing
        line = f"{line}: {redact.text(found.line.code)}"
    return line if len(line) <= EVIDENCE else f"{line[: EVIDENCE - 1]}…"
