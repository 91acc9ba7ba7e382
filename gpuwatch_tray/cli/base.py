"""What every command of the command line is made with: its help, examples and body, and types of numbers."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from gpuwatch_tray.cli.help import HelpFormatter
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.app.context import RunContext


CommandBody: TypeAlias = "Callable[[RunContext, argparse.Namespace], int]"


def epilog(*examples: str) -> str:
    """Return the text below a command's options: examples, and the exit codes."""
    codes = _(
        "Exit codes: 0 done, also with nothing to report; 1 the work failed; 2 wrong use or configuration."
    )
    head = _("Example:") if len(examples) == 1 else _("Examples:")
    lines = "".join(f"\n  {f'gpuwatch-tray {example}'.rstrip()}" for example in examples)
    return f"{head}{lines}\n\n{codes}" if examples else codes


class CommandGroup(Struct, frozen=True):
    """A parser to which commands are added; each of them has the options of `common`."""

    subparsers: Any  # argparse's action, whose type has no public name
    common: argparse.ArgumentParser

    def command(
        self, name: str, body: CommandBody, summary: str, *examples: str, aliases: Sequence[str] = ()
    ) -> argparse.ArgumentParser:
        """Add a command that runs `body`; `examples` are what follows the program's name."""
        parser = self._add(name, summary, examples, aliases)
        parser.set_defaults(run=body)
        return parser

    def group(
        self, name: str, summary: str, *examples: str, body: CommandBody | None = None
    ) -> tuple[argparse.ArgumentParser, CommandGroup]:
        """Add a command with tasks; without a task it runs `body`, or is wrong use where there is none."""
        parser = self._add(name, summary, examples)
        tasks = parser.add_subparsers(
            dest="task", metavar="TASK" if body is None else "[TASK]", required=body is None
        )
        if body is not None:
            parser.set_defaults(run=body)
        return parser, CommandGroup(tasks, self.common)

    def _add(
        self, name: str, summary: str, examples: Sequence[str], aliases: Sequence[str] = ()
    ) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = self.subparsers.add_parser(
            name,
            parents=[self.common],
            help=summary,
            description=_("{summary}.").format(summary=summary[:1].upper() + summary[1:]),
            epilog=epilog(*examples),
            formatter_class=HelpFormatter,
            aliases=aliases,
        )
        return parser


def add_json(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """Add --json; `again` for a task whose command has it too, and may have been given it."""
    default = argparse.SUPPRESS if again else False
    parser.add_argument("--json", action="store_true", default=default, help=_("as JSON"))


HIGHEST_PORT = 65535


def positive_seconds(text: str) -> float:
    """Parse a number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(
            _("expected a number of seconds above 0, got {text!r}").format(text=text)
        )
    return value


def positive_int(text: str) -> int:
    """Parse a whole number above 0."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(_("expected a whole number above 0, got {text!r}").format(text=text))
    return int(text)


def tcp_port(text: str) -> int:
    """Parse a TCP port."""
    value = positive_int(text)
    if value > HIGHEST_PORT:
        wrong = _("expected a port number up to {most}, got {text!r}").format(most=HIGHEST_PORT, text=text)
        raise argparse.ArgumentTypeError(wrong)
    return value


_SIZES = {"": 2**20, "m": 2**20, "mb": 2**20, "mib": 2**20, "g": 2**30, "gb": 2**30, "gib": 2**30}


def memory_size(text: str) -> int:
    """Parse an amount of memory, as `20G`, `512M` or a number of MiB; return bytes."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?) ?([A-Za-z]{0,3})", text)
    if found is None or found[2].lower() not in _SIZES or float(found[1]) == 0:
        raise argparse.ArgumentTypeError(_("expected a size such as 20G, got {text!r}").format(text=text))
    return int(float(found[1]) * _SIZES[found[2].lower()])


def percent(text: str) -> float:
    """Parse a percentage."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?) ?%?", text)
    if found is None or float(found[1]) > WHOLE:
        raise argparse.ArgumentTypeError(_("expected 0 to 100, got {text!r}").format(text=text))
    return float(found[1])


WHOLE = 100.0  # percent


def gpu_numbers(text: str) -> frozenset[int]:
    """Parse numbers of GPUs, separated by commas."""
    parts = text.split(",")
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(_("expected numbers such as 0,1, got {text!r}").format(text=text))
    return frozenset(map(int, parts))
