"""
The process list as text, in the Bash tool's layout to the letter.

```
GPU=0  MEM=2828MiB  PID=2943615  ETIME=03:34
  CWD: /home/user/project
  CMD: python train.py
(an empty line)
```
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.model import UNKNOWN, Field, GpuProcess, Missing, ProcessKind, Why
from gpuwatch_tray.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence


NA = "NA"

_ETIME = re.compile(
    r"(?:(?:(?P<days>\d{1,9})-)?(?P<hours>\d{1,9}):)?(?P<minutes>\d{1,9}):(?P<seconds>\d{1,9})", re.ASCII
)


def elapsed_text(seconds: Field[float]) -> str:
    """Write whole seconds as `03:34`, `09:00:00` or, as procps, `1-02:03:04`; `NA` where they are missing."""
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


def type_text(process: GpuProcess) -> str:
    """Write how it uses the GPU, in nvidia-smi's letters: `C`, `G`, `C+G`, `M+C`; `?` if not known."""
    return "+".join(kind.value for kind in _LETTERS if kind in process.kinds) or "?"


def own_text(processes: Sequence[GpuProcess], *, redacted: bool) -> str:
    """
    Write the Bash tool's list of these processes, an empty line after each; '' when there are none.

    Without `redacted` it is for the user's own terminal: one's own arguments stand as they are, on one line.
    Other people's are never shown, only the program's name.
    """
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
