"""Where commands hang: each has its help, its example, and the function that it runs."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.context import RunContext

Run: TypeAlias = "Callable[[RunContext, argparse.Namespace], int]"


def epilog(*examples: str) -> str:
    """What stands below the options: examples, and the exit codes."""
    codes = _(
        "Exit codes: 0 done, also with nothing to report; 1 the work failed; 2 wrong use or configuration."
    )
    head = _("Example:") if len(examples) == 1 else _("Examples:")
    lines = "".join(f"\n  {f'gpuwatch-tray {example}'.rstrip()}" for example in examples)
    return f"{head}{lines}\n\n{codes}" if examples else codes


@dataclass(frozen=True, slots=True)
class Branch:
    """A parser whose commands are yet to be added; `common` are the options that each of them has."""

    parsers: Any  # argparse's own action, whose type has no public name
    common: argparse.ArgumentParser

    def command(
        self, name: str, run: Run, summary: str, *examples: str, aliases: Sequence[str] = ()
    ) -> argparse.ArgumentParser:
        """A command that `run` does; `examples` are what follows the program's name."""
        made = self._add(name, summary, examples, aliases)
        made.set_defaults(run=run)
        return made

    def family(
        self, name: str, summary: str, *examples: str, run: Run | None = None
    ) -> tuple[argparse.ArgumentParser, Branch]:
        """A command that has tasks of its own; without one of them it does `run`, or is wrong use."""
        made = self._add(name, summary, examples)
        tasks = made.add_subparsers(dest="task", metavar="TASK", required=run is None)
        if run is not None:
            made.set_defaults(run=run)
        return made, Branch(tasks, self.common)

    def _add(
        self, name: str, summary: str, examples: Sequence[str], aliases: Sequence[str] = ()
    ) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = self.parsers.add_parser(
            name,
            parents=[self.common],
            help=summary,
            description=_("{summary}.").format(summary=summary[:1].upper() + summary[1:]),
            epilog=epilog(*examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            aliases=aliases,
        )
        return made
