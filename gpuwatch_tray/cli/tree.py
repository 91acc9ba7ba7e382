"""The command line looked at as a whole: each command with its parser, and what each option looks like."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and those of its commands, in their order, each once, whatever else it is called."""
    yield parser
    # argparse shows its actions to nobody; whoever documents a parser asks for them so
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for below in dict.fromkeys(action.choices.values()):
                yield from commands(below)


def actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The options and words of one command that --help shows, its commands left out."""
    return [
        action
        for action in parser._actions  # noqa: SLF001
        if action.help is not argparse.SUPPRESS and not isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
    ]


def invocation(action: argparse.Action) -> str:
    """How an option or a word is written, such as `--watch N`."""
    word = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices is not None and action.metavar is None:
        word = "|".join(map(str, action.choices))
    if not action.option_strings:
        return word
    spelt = ", ".join(action.option_strings)
    return spelt if action.nargs == 0 else f"{spelt} {word}"
