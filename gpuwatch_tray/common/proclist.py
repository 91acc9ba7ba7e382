"""
The list of GPU processes: as text, read back from text, as JSON, and summed up by user.

The text is in the Bash tool's layout, to the letter; it is read back from that tool, from ours, or from any
program that prints alike:

```
GPU=0  MEM=2828MiB  PID=2943615  ETIME=03:34
  CWD: /home/user/project
  CMD: python train.py
(an empty line)
```
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.common.redact import NA, process_name, program
from gpuwatch_tray.model import (
    UNKNOWN,
    Field,
    Gpu,
    GpuProcess,
    Missing,
    ProcessKind,
    Snapshot,
    Why,
    known,
)
from gpuwatch_tray.model.units import MIB, local_datetime

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_ETIME = late_pattern(
    r"(?:(?:(?P<days>\d{1,9})-)?(?P<hours>\d{1,9}):)?(?P<minutes>\d{1,9}):(?P<seconds>\d{1,9})", re.ASCII
)


def elapsed_text(seconds: Field[float]) -> str:
    """
    Write whole seconds as `03:34`, `09:00:00` or `1-02:03:04`; `NA` where they are missing.

    The days have no leading zero, whatever the manual's `DD` suggests: procps prints them with `%u-`.
    """
    if isinstance(seconds, Missing):
        return NA
    minutes, s = divmod(max(0, int(seconds)), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days}-{h:02}:{m:02}:{s:02}"
    return f"{h:02}:{m:02}:{s:02}" if h else f"{m:02}:{s:02}"


def parse_elapsed(text: str) -> Field[float]:
    """Read the seconds of an elapsed time; unknown for `NA`, and for any other text (which is the detail)."""
    text = text.strip()
    found = _ETIME.fullmatch(text)
    if found is None:
        return UNKNOWN if text in {"", NA} else Missing(Why.UNKNOWN, text)
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


_LETTERS = (ProcessKind.MPS, ProcessKind.COMPUTE, ProcessKind.GRAPHICS)  # nvidia-smi's order: M+C, C+G


def process_header(process: GpuProcess) -> str:
    """Write the first line of a process: `GPU=0  MEM=2828MiB  PID=2943615  ETIME=03:34`."""
    gpu = "?" if process.gpu is None else process.gpu
    memory = "[N/A]" if isinstance(process.memory, Missing) else process.memory // MIB
    return f"GPU={gpu}  MEM={memory}MiB  PID={process.pid}  ETIME={elapsed_text(process.elapsed)}"


INTERPRETERS = late_pattern(r"(?:pythonw?|bash|sh|perl|ruby|node|julia|Rscript)[\d.]*(?:\.exe)?")


def program_and_script(process: GpuProcess) -> tuple[str, str]:
    """
    Return what may be shown of the program and of the script that it runs; empty where there is none.

    A module is `-m NAME`. Of a process that is not one's own the program alone is told.
    """
    called = redact.process_name(known(process.name) or "")
    names = redact.arguments(known(process.command) or ()) if process.mine else ()
    if not names:
        return redact.text(called), ""
    called = redact.text(program(names[0]))
    script = names[1] if len(names) > 1 else "-"
    if not INTERPRETERS.fullmatch(called):
        return called, ""
    if script == "-m" and len(names) > len(("python", "-m")):
        return called, redact.text(f"-m {names[2]}")
    return called, "" if script.startswith("-") else redact.text(program(script))


def type_text(process: GpuProcess) -> str:
    """Write how it uses the GPU, in nvidia-smi's letters: `C`, `G`, `C+G`, `M+C`; `?` if not known."""
    return "+".join(kind.value for kind in _LETTERS if kind in process.kinds) or "?"


def own_text(processes: Sequence[GpuProcess], *, redacted: bool) -> str:
    """Write the Bash tool's list, an empty line after each; redacted, save for the user's own terminal."""
    return "".join(_block(process_header(process), process, redacted=redacted) for process in processes)


def all_text(processes: Sequence[GpuProcess]) -> str:
    """Write the list of `ps --all`, with owner and type behind each first line: `USER=alice  TYPE=C+G`."""
    return "".join(_block(_header_with_owner(process), process, redacted=False) for process in processes)


def _header_with_owner(process: GpuProcess) -> str:
    return f"{process_header(process)}  USER={_line(process.user, '?')}  TYPE={type_text(process)}"


def _block(first: str, process: GpuProcess, *, redacted: bool) -> str:
    cwd = process.cwd
    if redacted and not isinstance(cwd, Missing):
        cwd = redact.text(cwd)
    return f"{first}\n  CWD: {_line(cwd, NA)}\n  CMD: {_command(process, redacted=redacted)}\n\n"


def _command(process: GpuProcess, *, redacted: bool) -> str:
    if process.mine and isinstance(process.command, Missing):
        return NA
    if redacted or not process.mine or isinstance(process.command, Missing):
        return redact.command(process)
    return redact.one_line(" ".join(process.command)) or NA


def _line(value: Field[str], otherwise: str) -> str:
    return otherwise if isinstance(value, Missing) else redact.visible(value).strip() or otherwise


_HEADER = late_pattern(r"GPU\s*=")
_FIELD = late_pattern(r"(?P<key>[A-Z_]+)=(?P<value>.*?)(?=\s+[A-Z_]+=|\s*$)")
_NUMBER = late_pattern(r"[0-9]{1,18}")
_MEMORY = late_pattern(r"(?P<mib>[0-9]{1,12})\s*MiB")
_NO_MEMORY = frozenset({"[N/A]MiB", "[N/A]", "N/A", "NA", "[Not Supported]MiB", ""})
# An empty list, in the Bash tool's mail and in nvidia-smi's table.
_NOTHING = frozenset({"<no gpu processes detected>", "no running processes found"})
# Printed by nvidia-smi in place of a GPU: by its address on the PCI bus, or by its number.
_UNREADABLE = late_pattern(
    r"Unable to determine the device handle for (?:GPU ?)?(?P<gpu>[0-9A-Fa-f:.]*[0-9A-Fa-f]): *(?P<why>.+)"
)


class BadLine(Struct, frozen=True):
    """A line that could not be understood, counted from 1."""

    number: int
    text: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.text}"


class Listing(Struct, frozen=True):
    """
    The processes of a text. With `bad_lines`, they are not all there are.

    `unreadable` are GPUs that could not be asked: the name that the list has for each, and why.
    """

    processes: tuple[GpuProcess, ...]
    bad_lines: tuple[BadLine, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()


def parse_listing(text: str) -> Listing:
    """
    Read a process list.

    A process is the lister's own (`mine`) and computes, as in the Bash tool's list, unless its first line
    says otherwise in `USER=` and `TYPE=` (`ps --all` writes them): then `user` and `kinds` are set and `mine`
    is None. Arguments come back split at the blanks; lines without a PID between a command and the blank line
    belong to it. A text that holds something, but no process, is bad too.
    """
    parser = _ListingParser()
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        parser.add(BadLine(number, line.rstrip()))
    return parser.listing()


class _ListingParser:
    """What has been read of a list, line by line."""

    def __init__(self) -> None:
        self._processes: list[GpuProcess] = []
        self._bad: list[BadLine] = []
        self._stray: list[BadLine] = []
        self._wrapped: list[BadLine] = []  # may be a process; a command's if a blank line follows
        self._unreadable: list[tuple[str, str]] = []
        self._inside = self._in_command = False

    def listing(self) -> Listing:
        bad = sorted([*self._bad, *self._wrapped], key=lambda line: line.number)
        if not self._processes and not bad:
            bad = self._stray[:1]
        return Listing(tuple(self._processes), tuple(bad), tuple(self._unreadable))

    def add(self, line: BadLine) -> None:
        text = line.text
        header = _HEADER.match(text.lstrip()) is not None
        if not text:
            self._wrapped, self._in_command = [], False
        elif "\0" in text:  # not text: the part before it may be cut short
            self._bad.append(line)
            self._inside = self._in_command = False
        elif self._in_command and not (header and "PID" in text):
            self._processes[-1] = _add_words(self._processes[-1], text)
            self._wrapped += [line] if header else []
        elif header:
            self._add_process(line)
        elif text.strip("| \t").casefold() in _NOTHING:
            return
        elif not text[:1].isspace():
            found = _UNREADABLE.fullmatch(text)
            self._unreadable += [(found["gpu"], found["why"])] if found else []
            self._stray.append(line)
        elif self._inside:
            self._processes[-1] = _add_detail(self._processes[-1], text.strip())
            self._in_command = text.lstrip().startswith("CMD:")

    def _add_process(self, line: BadLine) -> None:
        process = _parse_process(line.text)
        self._bad += self._wrapped
        self._bad += [line] if process is None else []
        self._processes += [] if process is None else [process]
        self._inside, self._in_command, self._wrapped = process is not None, False, []


def _parse_process(line: str) -> GpuProcess | None:
    fields = {found["key"]: found["value"].strip() for found in _FIELD.finditer(line)}
    gpu, pid = fields.get("GPU", ""), fields.get("PID", "")
    if line[:1].isspace() or not (gpu == "?" or _NUMBER.fullmatch(gpu)) or not _NUMBER.fullmatch(pid):
        return None
    user = fields.get("USER")
    return GpuProcess(
        pid=int(pid),
        gpu=None if gpu == "?" else int(gpu),
        kinds=frozenset(kind for kind in ProcessKind if kind.value in fields.get("TYPE", "C").split("+")),
        memory=_parse_memory(fields.get("MEM", "")),
        user=UNKNOWN if user in {None, "", "?"} else user,
        mine=True if user is None else None,
        elapsed=parse_elapsed(fields.get("ETIME", "")),
    )


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


def _add_words(process: GpuProcess, line: str) -> GpuProcess:
    words = () if isinstance(process.command, Missing) else process.command
    return replace(process, command=(*words, *line.split()))


class UserTotal(Struct, frozen=True):
    """One user's processes together; `user` is None for all whose owner is not known."""

    user: str | None
    memory: int | None  # bytes where it is known; None where it is of none
    unknown: int  # how many have none that is known, one for each GPU
    gpus: tuple[int, ...]  # the indexes that are known
    processes: int
    elsewhere: bool = False  # there are processes on a GPU that is not known


def user_totals(processes: Iterable[GpuProcess]) -> tuple[UserTotal, ...]:
    """Sum up the processes by user, the most memory first; the unknown owners last."""
    held: dict[str | None, list[GpuProcess]] = {}
    for process in processes:
        held.setdefault(known(process.user) or None, []).append(process)
    totals = [_user_total(user, entries) for user, entries in held.items()]
    return tuple(sorted(totals, key=lambda t: (t.user is None, -(t.memory or 0), t.user or "")))


def totals_text(processes: Iterable[GpuProcess]) -> str:
    """Write a line for each user: `USER=alice  GPUS=2  PROCESSES=3  MEM=2828MiB`; `+?` if more is unknown."""
    return "".join(
        f"USER={'?' if total.user is None else redact.visible(total.user)}  GPUS={gpus_text(total)}"
        f"  PROCESSES={total.processes}  MEM={_memory_text(total)}\n"
        for total in user_totals(processes)
    )


def gpus_text(total: UserTotal) -> str:
    """Say how many GPUs: `2`, `2+?` with processes on a GPU that is not known, `?` with those only."""
    if not total.elsewhere:
        return str(len(total.gpus))
    return f"{len(total.gpus)}+?" if total.gpus else "?"


def _memory_text(total: UserTotal) -> str:
    if total.memory is None:
        return "[N/A]MiB"
    return f"{total.memory // MIB}{'+?' if total.unknown else ''}MiB"


def _user_total(user: str | None, entries: list[GpuProcess]) -> UserTotal:
    sizes = [entry.memory for entry in entries if not isinstance(entry.memory, Missing)]
    return UserTotal(
        user,
        sum(sizes) if sizes else None,
        len(entries) - len(sizes),
        tuple(sorted({entry.gpu for entry in entries if entry.gpu is not None})),
        len({(entry.pid, entry.identity) for entry in entries}),
        any(entry.gpu is None for entry in entries),
    )


SCHEMA = 1


def listing_json(
    snapshot: Snapshot, processes: Sequence[GpuProcess], *, with_users: bool = False
) -> dict[str, Any]:
    """Return everything that `ps --json` prints, as docs/json.md describes it."""
    problem = snapshot.problem
    record = {
        "schema": SCHEMA,
        "source": snapshot.source,
        "simulated": snapshot.simulated,
        "at": local_datetime(snapshot.at).isoformat(),
        "problem": problem and {"text": problem.text, "mend": problem.mend, "no_driver": problem.no_driver},
        "gpus": [_gpu_json(gpu) for gpu in snapshot.gpus],
        "processes": [_process_json(process) for process in processes],
    }
    users = [
        {
            "user": total.user,
            "memory_bytes": total.memory,
            "memory_unknown": total.unknown,
            "gpus": list(total.gpus),
            "processes": total.processes,
        }
        for total in user_totals(processes)
    ]
    return record | {"users": users} if with_users else record


def _gpu_json(gpu: Gpu) -> dict[str, Any]:
    limits = gpu.limited_by
    fields: dict[str, Field[Any]] = {
        "uuid": gpu.uuid or UNKNOWN,
        "name": gpu.name,
        "memory_used_bytes": gpu.memory_used,
        "memory_total_bytes": gpu.memory_total,
        "utilisation_percent": gpu.utilisation,
        "temperature_c": gpu.temperature,
        "power_w": gpu.power,
        "power_limit_w": gpu.power_limit,
        "fan_percent": gpu.fan,
        "slowdown_c": gpu.slowdown_at,
        "limited_by": limits if isinstance(limits, Missing) else [str(bit.name).lower() for bit in limits],
        "ecc_corrected": gpu.ecc_corrected,
        "ecc_uncorrected": gpu.ecc_uncorrected,
        "rows_pending": gpu.rows_pending,
        "rows_failed": gpu.rows_failed,
        "pcie_width": gpu.pcie_width,
        "pcie_width_most": gpu.pcie_width_most,
    }
    state = {
        "physical": gpu.physical or None,
        "asleep": gpu.asleep,
        "problem": gpu.problem,
        "process_problem": gpu.process_problem,
    }
    return {"index": gpu.index, **_values(fields), **state, "missing": _reasons(fields)}


def _process_json(process: GpuProcess) -> dict[str, Any]:
    name = process.name
    command: Field[Any] = process.command
    if isinstance(name, Missing) and not isinstance(process.command, Missing) and process.command:
        name = program(process.command[0].split(" ", 1)[0])
    if not process.mine and not isinstance(name, Missing):
        name = process_name(name)  # it may be a title that holds the whole command
    if not isinstance(process.command, Missing):
        command = list(process.command)
    started, elapsed = process.started, process.elapsed
    fields: dict[str, Field[Any]] = {
        "gpu": UNKNOWN if process.gpu is None else process.gpu,
        "device": process.device or None,
        "pid": process.pid,
        "user": process.user,
        "mine": UNKNOWN if process.mine is None else process.mine,
        "type": type_text(process),
        "memory_bytes": process.memory,
        "started": started if isinstance(started, Missing) else local_datetime(started).isoformat(),
        "elapsed_s": elapsed if isinstance(elapsed, Missing) else round(elapsed, 1),
        "cwd": process.cwd,
        "command": command,
        "name": name,
    }
    record, reasons = _values(fields), _reasons(fields)
    if not process.mine and not isinstance(command, Missing):
        record["command"], reasons["command"] = None, "redacted"
    return {**record, "missing": reasons}


def _values(fields: dict[str, Field[Any]]) -> dict[str, Any]:
    return {key: None if isinstance(value, Missing) else value for key, value in fields.items()}


def _reasons(fields: dict[str, Field[Any]]) -> dict[str, str]:
    return {
        key: f"{value.why.value}: {value.detail}" if value.detail else value.why.value
        for key, value in fields.items()
        if isinstance(value, Missing)
    }
