"""
Messages about text that Bash would execute, and how to correct it.

Nothing of the line is quoted save names and words of Bash: a stray word may be a password.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model.schema import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Sequence


EXPORT = N_("`export` takes NAME=value here, with the name outside the quotes")
BRACES = N_("Bash would expand the braces: put the value in quotes")
NOT_PLAIN = N_("only NAME=value is read: no lists, and nothing is added to")
NO_BLANKS = N_("no blanks around =")
AFTER_SEMICOLON = N_(
    "Bash would run what follows the `;` as a command: a value with a ; in it goes in quotes"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Variables of the environment that people look for among the keys.
_ENVIRONMENT = frozenset({"MYGPU", "PATH", "LD_LIBRARY_PATH", "LANG", "LANGUAGE", "TZ", "HOME", "USER"})
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


def operator_message(sign: str) -> str:
    """Explain a `;` with nothing before it, `&`, `|`, `<`, `>` or a parenthesis outside quotes."""
    if sign == ";":
        return _("Bash finds nothing to do before this `;`: take it away")
    return _("`{sign}` outside quotes is an operator of Bash: put a value that holds it in quotes").format(
        sign=sign
    )


def list_message(name: str) -> str:
    """Explain that `NAME=(...)` is not read."""
    return _('a list is not read: write {name}="..." with everything between one pair of quotes').format(
        name=name
    )


def command_message(words: Sequence[str], stray: int, before: str = "", *, empty: bool = False) -> str:
    """
    Explain the word at `stray`, which Bash would run as a command.

    `words` are texts, '' where a word is not all bare. `before` is the name assigned just before it on the
    same line, if any, and `empty` says that its value is.
    """
    word = words[stray]
    following = words[stray + 1] if stray + 1 < len(words) else ""
    if before:
        how = _(NO_BLANKS) if empty else _("a value with blanks goes in quotes")
        return _("Bash would run what follows {before}=... as a command: {how}").format(
            before=before, how=how
        )
    if _NAME.fullmatch(word) and following.startswith("="):
        return _("Bash would run the command '{word}': {how}").format(word=word, how=_(NO_BLANKS))
    if word in _DECLARE:
        return _("'{word}' is not read: write NAME=value or export NAME=value").format(word=word)
    if word in _INCLUDE:
        return _("another file is not read from here: put its lines in this one")
    if word in _WORDS_OF_BASH:
        return _("Bash would run '{word}': nothing but NAME=value and export NAME=value is read").format(
            word=word
        )
    if "=" in word:
        return _("Bash would run this as a command: a name holds only letters, digits and _")
    return _("Bash would run this line as a command: settings are written NAME=value")


def unknown_key(name: str) -> str:
    """Say what is wrong with a name that is no key."""
    if name in _ENVIRONMENT or name.startswith(("GPUWATCH_", "LC_", "CUDA_")):
        return _("not a key but a variable of the environment: set it where gpuwatch-tray is started from")
    import difflib  # a tray whose settings are right never needs it

    near = difflib.get_close_matches(name.upper(), SETTINGS, n=1, cutoff=0.7)
    if near:
        return _("unknown key: is {name} meant?").format(name=near[0])
    return _("unknown key, and no later line uses it: take it out (config/*.env.example lists the keys)")
