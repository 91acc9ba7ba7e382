"""The documents made from the command line's --help: the man page, and the completion of the shells."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from gpuwatch_tray import __version__
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.desktop.entries import GeneratedDocs


SYNOPSIS = "[OPTION]... [COMMAND [TASK]] [ARGUMENT]..."


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


# groff typesets a bare hyphen, apostrophe, backtick, caret and tilde as other characters.
_GROFF_ESCAPES = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}


def man_page(top: argparse.ArgumentParser) -> str:
    """Write the man page of the whole command line in the language of man(7)."""
    first, *others = iter_commands(top)
    shared = {action.dest for action in visible_actions(first)}
    lines = [
        f'.TH {_escape(top.prog.upper())} 1 "" "{top.prog} {__version__}"',
        *_section(_("NAME"), _escape(f"{top.prog} - {_first_clause(top)}")),
        *_section(_("SYNOPSIS"), f".B {top.prog}", _escape(SYNOPSIS)),
        *_section(_("DESCRIPTION"), _escape(top.description or "")),
        *_section(_("OPTIONS"), *_option_lines(first, set())),
        *_section(_("COMMANDS")),
        *(line for parser in others for line in _command_lines(parser, shared)),
        *_section(_("EXIT STATUS"), _escape(_split_epilog(top)[1])),
        *_section(_("EXAMPLES"), *_example_lines(_split_epilog(top)[0])),
    ]
    return "\n".join([*lines, ""])


def _section(title: str, *lines: str) -> Iterator[str]:
    yield f'.SH "{_escape(title)}"'
    yield from lines


def _command_lines(parser: argparse.ArgumentParser, shared: set[str]) -> Iterator[str]:
    words = parser.prog.partition(" ")[2]
    if not words:
        return
    yield f'.SS "{_escape(words)}"'
    yield _escape(parser.description or "")
    yield from _option_lines(parser, shared)
    yield ".PP"
    yield from _example_lines(_split_epilog(parser)[0])


def _option_lines(parser: argparse.ArgumentParser, shared: set[str]) -> Iterator[str]:
    for action in visible_actions(parser):
        if action.dest in shared and action.option_strings:
            continue
        yield ".TP"
        yield f".B {_escape(invocation(action))}"
        # argparse reads `%` in a help text as the start of a value
        yield _escape((action.help or "").replace("%%", "%")) or r"\&"


def _example_lines(text: str) -> Iterator[str]:
    yield ".nf"
    yield from (_escape(line) for line in text.splitlines())
    yield ".fi"


def _split_epilog(parser: argparse.ArgumentParser) -> tuple[str, str]:
    """Split what `epilog` made into the examples and the exit codes."""
    examples, _blank, codes = (parser.epilog or "").partition("\n\n")
    return examples, codes


def _first_clause(parser: argparse.ArgumentParser) -> str:
    return (parser.description or "").partition(":")[0].rstrip(".")


def _escape(text: str) -> str:
    escaped = re.sub(r"[\\\-'`^~]", lambda match: _GROFF_ESCAPES[match[0]], text)
    return f"\\&{escaped}" if escaped.startswith((".", "\\(aq")) else escaped


def completion_script(top: argparse.ArgumentParser, shell: str) -> str:
    """Write the script by which `bash`, `zsh` or `fish` completes the commands and options."""
    import shtab

    return str(shtab.complete(top, shell))


def generate_docs(top: argparse.ArgumentParser) -> GeneratedDocs:
    """Generate every document that is installed in a share folder."""
    from gpuwatch_tray.desktop.entries import GeneratedDocs

    return GeneratedDocs(man_page(top), completion_script(top, "bash"), completion_script(top, "fish"))
