"""
The labels of the menu's rows. Pure.

A value that could not be read is a `?`; one that the device or the source never gives is left out. Neither is
shown as 0.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import textwrap
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.text import cut_to_width, display_width
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Field, Gpu, GpuProcess, Missing, ProcessKind, Why, known
from gpuwatch_tray.model.units import gib, memory_text, menu_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


COMMAND_LENGTH = 40
MAX_COLUMNS = 60  # of the rows at the top: a menu is as wide as its widest row
WRAP = MAX_COLUMNS  # columns of a line of a wrapped text
WRAP_LINES = 8
DOT = " · "
INTERPRETERS = re.compile(r"(?:pythonw?|bash|sh|perl|ruby|node|julia|Rscript)[\d.]*(?:\.exe)?")
JOINS = {"win32": subprocess.list2cmdline}

T = TypeVar("T")


def clip(text: str, length: int) -> str:
    """Return `text` on one line of at most `length` columns, without control characters."""
    line = redact.one_line(text)
    return line if display_width(line) <= length else cut_to_width(line, length - 1).rstrip() + "…"


def fit(text: str, suffix: str = "", columns: int = MAX_COLUMNS) -> str:
    """Return `text`, clipped so that it fits into the columns together with `suffix`, which is whole."""
    return clip(text, columns - display_width(suffix)) + suffix


def wrap(text: str) -> list[str]:
    """Return `text` on at most WRAP_LINES lines, cut where it is longer."""
    # textwrap counts characters, of which fewer fill a line where they are wide
    length = WRAP * len(text) // display_width(text) if text else WRAP
    return textwrap.wrap(text, length, max_lines=WRAP_LINES, placeholder=" …", subsequent_indent="    ")


def gpu_memory(used: Field[int], total: Field[int]) -> str:
    """Format `12.3 / 24.0 GiB`, with `?` for a half that could not be read; empty where neither is given."""
    if not (_given(used) or _given(total)):
        return ""
    halves = ["?" if isinstance(value, Missing) else gib(value) for value in (used, total)]
    return " / ".join(halves) + " GiB"


def total(values: Iterable[Field[int]]) -> Field[int]:
    """Return the sum of the values that are known; missing where none is."""
    numbers = [value for value in values if not isinstance(value, Missing)]
    return sum(numbers) if numbers else Missing(Why.UNSUPPORTED)


def gpu_label(value: Gpu) -> str:
    """Return a GPU's label, such as `GPU 0  RTX 4090 · 87 % · 12.3 / 24.0 GiB · 71 °C · 310 W`."""
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


def process_label(value: GpuProcess) -> str:
    """Return a process's label, such as `PID 2943615 · alice · 2.8 GiB · 3 h 24 min · python train.py`."""
    parts = [
        f"PID {value.pid}",
        _("user ?") if isinstance(value.user, Missing) else clip(value.user, 32),
        _field(value.memory, memory_text, _("memory ?")),
        _("time ?") if isinstance(value.elapsed, Missing) else menu_duration(value.elapsed),
        clip(command_text(value) or _("command not known"), COMMAND_LENGTH),
        _("graphics only") if value.kinds == {ProcessKind.GRAPHICS} else "",
    ]
    return DOT.join(part for part in parts if part)


def command_text(value: GpuProcess) -> str:
    """Return what may be shown of a process's command line; empty where it is not known."""
    return _shown_command(value.mine, value.command, value.name)[0]


def program_name(value: GpuProcess) -> str:
    """Return what runs in a word or two: an interpreter's script, else the program; empty if not known."""
    return _shown_command(value.mine, value.command, value.name)[1]


# Redaction takes a millisecond for a long command line, and each drawing needs every process's.
@lru_cache(maxsize=2048)
def _shown_command(mine: bool | None, argv: Field[tuple[str, ...]], name: Field[str]) -> tuple[str, str]:
    """Return the results of `command_text` and `program_name`, cached by all that they depend on."""
    whole = redact.command(GpuProcess(0, None, frozenset(), mine=mine, command=argv, name=name))
    called = redact.process_name(known(name) or "")
    names = redact.arguments(known(argv) or ()) if mine else ()
    if names:
        called = redact.program(names[0])
        script = names[1] if len(names) > 1 else "-"
        if INTERPRETERS.fullmatch(called) and not script.startswith("-"):
            called = redact.program(script)
    return "" if whole == redact.NA else whole, clip(redact.text(called), COMMAND_LENGTH)


def clipboard_command(value: GpuProcess) -> str:
    """
    Return the command for the clipboard: one's own quoted for the shell, with secrets; others' as shown.

    The clipboard is the user's own, and a pasted command must run.
    """
    argv = known(value.command)
    if not value.mine or not argv:
        return command_text(value)
    return JOINS.get(sys.platform, shlex.join)(argv)


def usage_types(value: GpuProcess) -> str:
    """Describe how a process uses the GPU, with nvidia-smi's letters."""
    names = {
        ProcessKind.COMPUTE: _("compute"),
        ProcessKind.GRAPHICS: _("graphics"),
        ProcessKind.MPS: _("compute through MPS"),
    }
    used = [kind for kind in ProcessKind if kind in value.kinds]
    if not used:
        return _("unknown")
    phrase, *others = [names[kind] for kind in used]
    for other in others:
        phrase = _("{one} and {other}").format(one=phrase, other=other)
    return f"{phrase} ({'+'.join(kind.value for kind in used)})"


def missing_reason(value: Missing) -> str:
    """Explain in a few words why a value is missing."""
    names = {
        Why.UNSUPPORTED: _("not given here"),
        Why.ERROR: _("could not be read"),
        Why.UNKNOWN: _("not known"),
    }
    return clip(f"{names[value.why]}: {_(value.detail)}" if value.detail else names[value.why], 80)


def _given(value: Field[T]) -> bool:
    """Return whether there is a value, or a failure to read one, to show."""
    return not isinstance(value, Missing) or value.why is Why.ERROR


def _field(value: Field[T], formatter: Callable[[T], str], failed: str) -> str:
    if isinstance(value, Missing):
        return failed if value.why is Why.ERROR else ""
    return formatter(value)
