"""
How --help looks: a command's own options first, those that all have last and short, in 80 columns.

The usage line leaves out what all commands have. A list of commands can be in sections. Widths are counted in
columns of the terminal, so that Chinese fits as well.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuwatch_tray.cli.printing import terminal_width
from gpuwatch_tray.common.text import wrap_to_width
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


COMMON = frozenset({"help", "source", "demo", "verbose"})  # what every command has, by argparse's `dest`


class HelpFormatter(argparse.HelpFormatter):
    """Wraps by columns; of a text with several lines it wraps each, and leaves indented ones as they are."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=terminal_width() - 2)  # argparse makes one for each option, to check it

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrap_to_width(" ".join(text.split()), width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines: list[str] = []
        for line in text.splitlines():
            lines += [line] if line.startswith(" ") else wrap_to_width(line, width) or [""]
        return "\n".join(f"{indent}{line}" for line in lines)


class CommandParser(argparse.ArgumentParser):
    """A parser of one command. `sections` are the titles of its list of commands, each with its commands."""

    sections: Mapping[str, Sequence[str]] | None = None

    def format_usage(self) -> str:
        """Return the usage line, without the common options."""
        formatter = self._get_formatter()
        self._add_usage(formatter)
        return formatter.format_help()

    def format_help(self) -> str:
        """Return the page of --help."""
        formatter = self._get_formatter()
        self._add_usage(formatter)
        formatter.add_text(self.description)
        for title, actions in self._titled_actions():
            formatter.start_section(title)
            formatter.add_arguments(actions)
            formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help()

    def _add_usage(self, formatter: argparse.HelpFormatter) -> None:
        own = [action for action in self._actions if action.dest not in COMMON]
        formatter.add_usage(self.usage, own, self._mutually_exclusive_groups)

    def _titled_actions(self) -> Iterator[tuple[str, list[argparse.Action]]]:
        arguments = [action for action in self._actions if not action.option_strings]
        for action in arguments:
            if action.nargs == argparse.PARSER:
                yield from self._sections_of(action)
        yield _("arguments"), [each for each in arguments if each.nargs != argparse.PARSER]
        options = [action for action in self._actions if action.option_strings]
        yield _("options"), [action for action in options if action.dest not in COMMON]
        yield _("common options"), [action for action in options if action.dest in COMMON]

    def _sections_of(self, commands: argparse.Action) -> Iterator[tuple[str, list[argparse.Action]]]:
        listed = {action.dest: action for action in commands._get_subactions()}  # type: ignore[attr-defined]  # noqa: SLF001
        if self.sections is None:
            yield _("commands"), list(listed.values())
            return
        for title, names in self.sections.items():
            yield _(title), [listed[name] for name in names]
