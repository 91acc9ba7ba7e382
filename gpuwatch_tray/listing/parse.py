"""
The list of GPU processes: read back from text, as JSON, and summed up by user.

The text is the Bash tool's, ours, or that of any program that prints alike. Blanks, line ends, missing lines
and further fields do not matter, but a line that may be a process and cannot be read is reported: a shorter
list would look like fewer processes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gpuwatch_tray.listing.elapsed import NA, parse_elapsed
from gpuwatch_tray.model import UNKNOWN, Field, GpuProcess, Missing, ProcessKind, Why
from gpuwatch_tray.redact import program
from gpuwatch_tray.units import MIB

_HEADER = re.compile(r"GPU\s*=")
_FIELD = re.compile(r"(?P<key>[A-Z_]+)=(?P<value>.*?)(?=\s+[A-Z_]+=|\s*$)")
_NUMBER = re.compile(r"[0-9]{1,18}")
_MEMORY = re.compile(r"(?P<mib>[0-9]{1,12})\s*MiB")
_NO_MEMORY = frozenset({"[N/A]MiB", "[N/A]", "N/A", "NA", "[Not Supported]MiB", ""})
_NOTHING = frozenset({"<no gpu processes detected>"})  # an empty list in the Bash tool's mail


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that could not be understood, counted from 1."""

    number: int
    text: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.text}"


@dataclass(frozen=True, slots=True)
class Listing:
    """The processes of a text. With `bad_lines`, they are not all there are."""

    processes: tuple[GpuProcess, ...]
    bad_lines: tuple[BadLine, ...] = ()


def parse_listing(text: str) -> Listing:
    """
    Read a process list.

    A process is the lister's own (`mine`) and computes, as in the Bash tool's list, unless its first line
    says otherwise in `USER=` and `TYPE=` (`ps --all` writes them): then `user` and `kinds` are set and `mine`
    is None. Arguments come back split at the blanks. A text that holds something, but no process, is bad too.
    """
    processes: list[GpuProcess] = []
    bad: list[BadLine] = []
    stray: list[BadLine] = []
    inside = False
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = raw.rstrip()
        if "\0" in line:  # not text: the part before it may be cut short
            bad.append(BadLine(number, line))
            inside = False
        elif _HEADER.match(line.lstrip()):
            process = _parse_process(line)
            inside = process is not None
            if process is None:
                bad.append(BadLine(number, line))
            else:
                processes.append(process)
        elif not line[:1].isspace():
            stray += [BadLine(number, line)] if line and line not in _NOTHING else []
        elif inside:
            processes[-1] = _add_detail(processes[-1], line.strip())
    if not processes and not bad:
        bad = stray[:1]
    return Listing(tuple(processes), tuple(bad))


def _parse_process(line: str) -> GpuProcess | None:
    fields = {found["key"]: found["value"] for found in _FIELD.finditer(line)}
    gpu, pid = fields.get("GPU", ""), fields.get("PID", "")
    if line[:1].isspace() or not (gpu == "?" or _NUMBER.fullmatch(gpu)) or not _NUMBER.fullmatch(pid):
        return None
    user = fields.get("USER")
    return GpuProcess(
        pid=int(pid),
        gpu=None if gpu == "?" else int(gpu),
        kinds=_parse_kinds(fields.get("TYPE")),
        memory=_parse_memory(fields.get("MEM", "")),
        user=UNKNOWN if user in {None, "", "?"} else user,
        mine=True if user is None else None,
        elapsed=parse_elapsed(fields.get("ETIME", "")),
    )


def _parse_kinds(letters: str | None) -> frozenset[ProcessKind]:
    known = {kind.value: kind for kind in ProcessKind}
    if letters is None:
        return frozenset({ProcessKind.COMPUTE})
    return frozenset(known[letter] for letter in letters.split("+") if letter in known)


def _parse_memory(text: str) -> Field[int]:
    found = _MEMORY.fullmatch(text)
    if found:
        return int(found["mib"]) * MIB
    return UNKNOWN if text in _NO_MEMORY else Missing(Why.UNKNOWN, text)


def _add_detail(process: GpuProcess, line: str) -> GpuProcess:
    key, _, value = line.partition(":")
    value = value.strip()
    if value in {"", NA}:
        return process
    if key == "CWD":
        return replace(process, cwd=value)
    if key == "CMD":
        words = tuple(value.split())
        return replace(process, command=words, name=program(words[0]))
    return process
