"""The man page, from the very texts that --help shows; in man(7)'s language."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuwatch_tray import __version__
from gpuwatch_tray.cli import tree
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

# groff draws a bare hyphen, apostrophe, backtick, caret and tilde as a typographer would.
_DRAWN = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}


def page(top: argparse.ArgumentParser) -> str:
    """The page of the whole command line."""
    first, *others = tree.commands(top)
    shared = {action.dest for action in tree.actions(first)}
    lines = [
        f'.TH {_escape(top.prog.upper())} 1 "" "{top.prog} {__version__}"',
        *_section(_("NAME"), _escape(f"{top.prog} - {_sentence(top)}")),
        *_section(_("SYNOPSIS"), f".B {top.prog}", _escape("[OPTION]... [COMMAND [TASK]] [ARGUMENT]...")),
        *_section(_("DESCRIPTION"), _escape(top.description or "")),
        *_section(_("OPTIONS"), *_options(first, set())),
        *_section(_("COMMANDS")),
        *(line for each in others for line in _command(each, shared)),
        *_section(_("EXIT STATUS"), _escape(_parts(top)[1])),
        *_section(_("EXAMPLES"), *_examples(_parts(top)[0])),
    ]
    return "\n".join([*lines, ""])


def _section(title: str, *lines: str) -> Iterator[str]:
    yield f'.SH "{_escape(title)}"'
    yield from lines


def _command(parser: argparse.ArgumentParser, shared: set[str]) -> Iterator[str]:
    words = parser.prog.partition(" ")[2]
    if not words:
        return
    yield f'.SS "{_escape(words)}"'
    yield _escape(parser.description or "")
    yield from _options(parser, shared)
    yield ".PP"
    yield from _examples(_parts(parser)[0])


def _options(parser: argparse.ArgumentParser, shared: set[str]) -> Iterator[str]:
    for action in tree.actions(parser):
        if action.dest in shared and action.option_strings:
            continue
        yield ".TP"
        yield f".B {_escape(tree.invocation(action))}"
        # argparse reads `%` in a help text as the start of a value
        yield _escape((action.help or "").replace("%%", "%")) or r"\&"


def _examples(text: str) -> Iterator[str]:
    """`Example:` and the lines below it, as they are."""
    yield ".nf"
    yield from (_escape(line) for line in text.splitlines())
    yield ".fi"


def _parts(parser: argparse.ArgumentParser) -> tuple[str, str]:
    """The examples and the exit codes, which stand below the options (see `branch.epilog`)."""
    examples, _blank, codes = (parser.epilog or "").partition("\n\n")
    return examples, codes


def _sentence(parser: argparse.ArgumentParser) -> str:
    return (parser.description or "").partition(":")[0].rstrip(".")


def _escape(text: str) -> str:
    drawn = re.sub(r"[\\\-'`^~]", lambda match: _DRAWN[match[0]], text)
    return f"\\&{drawn}" if drawn.startswith((".", "\\(aq")) else drawn
