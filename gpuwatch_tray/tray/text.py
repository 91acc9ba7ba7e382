"""
How the menu writes numbers and processes, pure.

A value that could not be read is a `?`; one that the device or the source never gives is left out. Both stay
apart from 0.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import textwrap
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from gpuwatch_tray import redact
from gpuwatch_tray.columns import cut_to_width, display_width
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Field, Gpu, GpuProcess, Kind, Missing, Why, known
from gpuwatch_tray.units import gib, memory_text, menu_duration

if TYPE_CHECKING:
    from collections.abc import Callable

COMMAND_LENGTH = 40
WRAP = 80  # columns of a line of a wrapped text
WRAP_LINES = 8
DOT = " · "
INTERPRETERS = re.compile(r"(?:pythonw?|bash|sh|perl|ruby|node|julia|Rscript)[\d.]*(?:\.exe)?")
JOINS = {"win32": subprocess.list2cmdline}

T = TypeVar("T")


def clip(text: str, length: int) -> str:
    """`text` on one line of at most `length` columns, without control characters."""
    line = redact.one_line(text)
    return line if display_width(line) <= length else cut_to_width(line, length - 1).rstrip() + "…"


def wrap(text: str) -> list[str]:
    """`text` on a few lines, cut where it is longer than those."""
    # textwrap counts characters: of a text whose characters are wide, fewer of them fill a line
    length = WRAP * len(text) // display_width(text) if text else WRAP
    return textwrap.wrap(text, length, max_lines=WRAP_LINES, placeholder=" …", subsequent_indent="    ")


def gpu_memory(used: Field[int], total: Field[int]) -> str:
    """`12.3 / 24.0 GiB`, with `?` for a half that could not be read; empty where neither is ever given."""
    if not (_given(used) or _given(total)):
        return ""
    halves = ["?" if isinstance(value, Missing) else gib(value) for value in (used, total)]
    return " / ".join(halves) + " GiB"


def gpu(value: Gpu) -> str:
    """A GPU's row, such as `GPU 0  RTX 4090 · 87 % · 12.3 / 24.0 GiB · 71 °C · 310 W`."""
    name = known(value.name)
    title = f"GPU {value.index}" + (f"  {clip(name, 40)}" if name else "")
    if value.problem is not None:
        return f"{title}{DOT}{clip(value.problem, 80)}"
    if value.asleep:
        return title + DOT + _("asleep")
    parts = [
        title,
        _field(value.utilisation, lambda percent: f"{percent} %", "? %"),
        gpu_memory(value.memory_used, value.memory_total),
        _field(value.temperature, lambda degrees: f"{degrees} °C", "? °C"),
        _field(value.power, lambda watt: f"{watt:.0f} W", "? W"),
    ]
    return DOT.join(part for part in parts if part)


def process(value: GpuProcess) -> str:
    """A process's row, such as `PID 2943615 · alice · 2.8 GiB · 3 h 24 min · python train.py`."""
    parts = [
        f"PID {value.pid}",
        _("user ?") if isinstance(value.user, Missing) else clip(value.user, 32),
        _field(value.memory, memory_text, _("memory ?")),
        _("time ?") if isinstance(value.elapsed, Missing) else menu_duration(value.elapsed),
        clip(command(value) or _("command not known"), COMMAND_LENGTH),
        _("graphics only") if value.kinds == {Kind.GRAPHICS} else "",
    ]
    return DOT.join(part for part in parts if part)


def command(value: GpuProcess) -> str:
    """What may be shown of a process's command line; empty where nothing is known of it."""
    return _shown(value.mine, value.command, value.name)[0]


def program(value: GpuProcess) -> str:
    """In a word or two what runs: the script of an interpreter, else the program; empty if not known."""
    return _shown(value.mine, value.command, value.name)[1]


# Redaction takes a millisecond for a long command line, and each drawing asks for that of each process.
@lru_cache(maxsize=256)
def _shown(mine: bool | None, argv: Field[tuple[str, ...]], name: Field[str]) -> tuple[str, str]:
    """What `command` and `program` say; these three facts are all that it depends on."""
    whole = redact.command(GpuProcess(0, None, frozenset(), mine=mine, command=argv, name=name))
    called = redact.called(known(name) or "")
    words = redact.arguments(known(argv) or ()) if mine else ()
    if words:
        called = redact.program(words[0])
        script = words[1] if len(words) > 1 else "-"
        if INTERPRETERS.fullmatch(called) and not script.startswith("-"):
            called = redact.program(script)
    return "" if whole == redact.NA else whole, clip(redact.text(called), COMMAND_LENGTH)


def pasted(value: GpuProcess) -> str:
    """
    The command for the clipboard: one's own as a shell takes it, secrets included, others' as it is shown.

    The clipboard is the user's own, and a command that is pasted shall run.
    """
    argv = known(value.command)
    if not value.mine or not argv:
        return command(value)
    return JOINS.get(sys.platform, shlex.join)(argv)


def kinds(value: GpuProcess) -> str:
    """In which ways a process uses the GPU, with nvidia-smi's letters."""
    words = {
        Kind.COMPUTE: _("compute"),
        Kind.GRAPHICS: _("graphics"),
        Kind.MPS: _("compute through MPS"),
    }
    used = [kind for kind in Kind if kind in value.kinds]
    if not used:
        return _("unknown")
    said, *others = [words[kind] for kind in used]
    for other in others:
        said = _("{one} and {other}").format(one=said, other=other)
    return f"{said} ({'+'.join(kind.value for kind in used)})"


def why(value: Missing) -> str:
    """Why a value is missing, in a few words."""
    words = {
        Why.UNSUPPORTED: _("not given here"),
        Why.ERROR: _("could not be read"),
        Why.UNKNOWN: _("not known"),
    }
    return clip(f"{words[value.why]}: {_(value.detail)}" if value.detail else words[value.why], 80)


def _given(value: Field[T]) -> bool:
    """Whether there is anything to show: a value, or the failure to read one."""
    return not isinstance(value, Missing) or value.why is Why.ERROR


def _field(value: Field[T], written: Callable[[T], str], failed: str) -> str:
    if isinstance(value, Missing):
        return failed if value.why is Why.ERROR else ""
    return written(value)
