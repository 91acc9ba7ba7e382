"""The commands of a parser, and how their options are written."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def iter_commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parser and those of its commands in their order, each once, without aliases."""
    yield parser
    for action in _actions(parser):
        if isinstance(action.choices, dict):  # only subparsers have a mapping
            for below in dict.fromkeys(action.choices.values()):
                yield from iter_commands(below)


def visible_actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the options and arguments of one command that --help shows, without its subcommands."""
    return [
        action
        for action in _actions(parser)
        if action.help is not argparse.SUPPRESS and not isinstance(action.choices, dict)
    ]


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # noqa: SLF001  # argparse has no public way to list a parser's options


def invocation(action: argparse.Action) -> str:
    """Return how an option or argument is written, such as `--watch N`."""
    word = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices is not None and action.metavar is None:
        word = "|".join(map(str, action.choices))
    if not action.option_strings:
        return word
    spelt = ", ".join(action.option_strings)
    return spelt if action.nargs == 0 else f"{spelt} {word}"
