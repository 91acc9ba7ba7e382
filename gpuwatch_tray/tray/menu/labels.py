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
from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.common.proclist import program_and_script
from gpuwatch_tray.common.text import cut_to_width, display_width
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Field, Gpu, GpuProcess, Missing, ProcessKind, Why, known
from gpuwatch_tray.model.units import GIB, gib, memory_text, menu_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


NAME_LENGTH = 40
MAX_COLUMNS = 50  # of the rows at the top: a menu is as wide as its widest one
PROCESS_COLUMNS = 56  # of a process's row, which has many narrow characters
WRAP = PROCESS_COLUMNS  # columns of a line of a wrapped text
WRAP_LINES = 8
DOT = " · "
FIGURE_SPACE = "\u2007"  # as wide as a digit, also in a proportional font
GPU_COLUMNS = 52  # of a GPU's row: digits are wide
LEAST_NAME = 8  # columns
LONGEST_OWNER = 10  # columns
# What stands around the model in NVML's names: "NVIDIA H100 80GB HBM3", "Tesla V100-SXM2-16GB",
# "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "NVIDIA A100-SXM4-40GB MIG 1g.5gb".
BRANDS = late_pattern(r"^(?:(?:NVIDIA|GeForce|Quadro|Tesla)\s+)+")
VARIANTS = late_pattern(
    r"[ -](?:\d+ ?GB|SXM\d*|PCIE?|HBM\w*|Generation|Blackwell|Max-Q|(?:Workstation|Server) Edition|GPU"
    r"|with .* Design)(?!\S*\.)(?![\w.])",
    re.IGNORECASE,
)
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
    return textwrap.wrap(
        text, length, max_lines=WRAP_LINES, placeholder=" …", subsequent_indent="    ", break_on_hyphens=False
    )


def gpu_memory(used: Field[int], total: Field[int]) -> str:
    """
    Format `12.3 / 24 GiB`, with `?` for a half that could not be read; empty where neither is given.

    What is used takes the same room whatever it is.
    """
    if not (_given(used) or _given(total)):
        return ""
    most = "?" if isinstance(total, Missing) else _short_gib(total)
    width = len("00.0") if isinstance(total, Missing) else len(gib(total))
    return f"{pad('?' if isinstance(used, Missing) else gib(used), width)} / {most} GiB"


def pad(number: str, width: int) -> str:
    """Fill up a number on the left, so that it is as wide as `width` digits."""
    return FIGURE_SPACE * (width - len(number)) + number


def total(values: Iterable[Field[int]]) -> Field[int]:
    """Return the sum of the values that are known; missing where none is."""
    numbers = [value for value in values if not isinstance(value, Missing)]
    return sum(numbers) if numbers else Missing(Why.UNSUPPORTED)


def short_gpu_name(name: str) -> str:
    """Return the model in a GPU's name, such as `RTX 4090`, `H100`, or `A100 MIG 1g.5gb` of a part of one."""
    return VARIANTS.sub("", BRANDS.sub("", redact.one_line(name))).strip() or redact.one_line(name)


def are_alike(gpus: Iterable[Gpu]) -> bool:
    """Whether the GPUs' short names tell none from another."""
    return len({short_gpu_name(known(gpu.name) or "") for gpu in gpus}) <= 1


def gpu_label(value: Gpu, *, named: bool = True) -> str:
    """
    Return a GPU's label, such as `GPU 0 · RTX 4090 · 87 % · 12.3 / 24 GiB · 71 °C`.

    The numbers keep their places; `named` tells whether the model is in it.
    """
    name = short_gpu_name(known(value.name) or "") if named else ""
    number = f"GPU {value.index}"
    if value.problem is not None or value.asleep:
        words = _("asleep") if value.problem is None else value.problem
        return fit(DOT.join(filter(None, (number, name, words))))
    numbers = [
        _field(value.utilisation, lambda percent: f"{pad(str(percent), 3)} %", f"{pad('?', 3)} %"),
        gpu_memory(value.memory_used, value.memory_total),
        _field(value.temperature, lambda degrees: f"{pad(str(degrees), 2)} °C", f"{pad('?', 2)} °C"),
    ]
    rest = "".join(DOT + part for part in numbers if part)
    room = GPU_COLUMNS - display_width(number + DOT + rest)
    return number + (DOT + clip(name, max(room, LEAST_NAME)) if name else "") + rest


def gpu_details(value: Gpu) -> str:
    """Return what the label has no room for: `NVIDIA GeForce RTX 4090 · 310 of 450 W · fan 55 %`."""
    limit = known(value.power_limit)
    power = _("{power} of {limit} W") if limit is not None else _("{power} W")
    parts = [
        clip(known(value.name) or "", NAME_LENGTH),
        _field(value.power, lambda watt: power.format(power=f"{watt:.0f}", limit=f"{limit or 0:.0f}"), "? W"),
        _field(value.fan, lambda percent: _("fan {percent} %").format(percent=percent), _("fan ?")),
    ]
    return DOT.join(part for part in parts if part)


def process_label(value: GpuProcess) -> str:
    """Return a process's label, such as `python train.py · alice · 2.8 GiB · 3:24 h · PID 2943615`."""
    parts = [
        _("user ?") if isinstance(value.user, Missing) else clip(value.user, LONGEST_OWNER),
        _field(value.memory, _short_memory, _("memory ?")),
        _("time ?") if isinstance(value.elapsed, Missing) else menu_duration(value.elapsed),
        _("graphics") if value.kinds == {ProcessKind.GRAPHICS} else "",
        f"PID {value.pid}",
    ]
    rest = "".join(DOT + part for part in parts if part)
    room = max(PROCESS_COLUMNS - display_width(rest), LEAST_NAME)
    _command, name, title = _shown_command(value.mine, value.command, value.name)
    title = title or _("command ?")
    return clip(title if display_width(title) <= room else name, room) + rest


def command_text(value: GpuProcess) -> str:
    """Return what may be shown of a process's command line; empty where it is not known."""
    return _shown_command(value.mine, value.command, value.name)[0]


def program_name(value: GpuProcess) -> str:
    """Return what runs in a word or two: an interpreter's script, else the program; empty if not known."""
    return _shown_command(value.mine, value.command, value.name)[1]


# Redaction takes a millisecond for a long command line, and each drawing needs every process's.
@lru_cache(maxsize=2048)
def _shown_command(mine: bool | None, argv: Field[tuple[str, ...]], name: Field[str]) -> tuple[str, str, str]:
    """
    Return what is shown of a command, cached by all that it depends on.

    That is the whole of it, the script or program that runs, and both of these: `python train.py`.
    """
    process = GpuProcess(0, None, frozenset(), mine=mine, command=argv, name=name)
    whole = redact.command(process)
    program, script = program_and_script(process)
    title = f"{program} {script}" if script else program
    called = script.removeprefix("-m ") or program
    return "" if whole == redact.NA else whole, clip(called, NAME_LENGTH), clip(title, NAME_LENGTH)


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
        Why.UNSUPPORTED: _("not available here"),
        Why.ERROR: _("could not be read"),
        Why.UNKNOWN: _("not known"),
    }
    return clip(f"{names[value.why]}: {_(value.detail)}" if value.detail else names[value.why], 80)


def _given(value: Field[T]) -> bool:
    """Return whether there is a value, or a failure to read one, to show."""
    return not isinstance(value, Missing) or value.why is Why.ERROR


def _short_gib(value: int) -> str:
    """Write bytes in GiB, in whole ones from ten on."""
    return gib(value) if value < 10 * GIB else f"{value / GIB:.0f}"


def _short_memory(value: int) -> str:
    return memory_text(value) if value < GIB else f"{_short_gib(value)} GiB"


def _field(value: Field[T], formatter: Callable[[T], str], failed: str) -> str:
    if isinstance(value, Missing):
        return failed if value.why is Why.ERROR else ""
    return formatter(value)
