"""
What to say of text that Bash would execute, and how to mend it.

Nothing of the line is quoted save names and words of Bash: a stray word may be a password.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EXPORT = "`export` takes NAME=value here, with the name outside the quotes"
BRACES = "Bash would expand the braces: put the value in quotes"
NOT_PLAIN = "only NAME=value is read: no lists, and nothing is added to"
NO_BLANKS = "no blanks around ="
AFTER_SEMICOLON = "Bash would run what follows the `;` as a command: a value with a ; in it goes in quotes"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DECLARE = frozenset({"declare", "typeset", "local", "readonly", "set", "setenv"})
_INCLUDE = frozenset({"source", "."})
_WORDS_OF_BASH = frozenset(
    word
    for line in (
        "if then else elif fi for while until do done case esac in select function time coproc { } [[ [ !",
        "test echo printf read cat cd exit return unset eval exec trap alias shopt true false : let mkdir",
    )
    for word in line.split()
)


def operator(sign: str) -> str:
    """Of a `;` with nothing before it, `&`, `|`, `<`, `>` or a parenthesis outside quotes."""
    if sign == ";":
        return "Bash finds nothing to do before this `;`: take it away"
    return f"`{sign}` outside quotes is an operator of Bash: put a value that holds it in quotes"


def group(name: str) -> str:
    """Of `NAME=(...)`."""
    return f'a list is not read: write {name}="..." with everything between one pair of quotes'


def command(words: Sequence[str], stray: int, before: str = "", *, empty: bool = False) -> str:
    """
    Of the word at `stray`, which Bash would run as a command.

    `words` are texts, '' where a word is not all bare. `before` is the name assigned just before it on the
    same line, if any, and `empty` says that its value is.
    """
    word = words[stray]
    following = words[stray + 1] if stray + 1 < len(words) else ""
    if before:
        how = NO_BLANKS if empty else "a value with blanks goes in quotes"
        return f"Bash would run what follows {before}=... as a command: {how}"
    if _NAME.fullmatch(word) and following.startswith("="):
        return f"Bash would run the command '{word}': {NO_BLANKS}"
    if word in _DECLARE:
        return f"'{word}' is not read: write NAME=value or export NAME=value"
    if word in _INCLUDE:
        return "another file is not read from here: put its lines in this one"
    if word in _WORDS_OF_BASH:
        return f"Bash would run '{word}': nothing but NAME=value and export NAME=value is read"
    if "=" in word:
        return "Bash would run this as a command: a name holds only letters, digits and _"
    return "Bash would run this line as a command: settings are written NAME=value"
