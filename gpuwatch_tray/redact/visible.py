"""Control characters as escapes."""

from __future__ import annotations

import unicodedata

_SHORT_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
# Controls, format characters (the marks that reverse text among them), halves of pairs (how Python carries
# bytes that are no UTF-8; no mail or bus message can hold them), line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(s: str) -> str:
    r"""Write control characters as escapes (`\n`, `\x1b`, `\u202e`): none moves a cursor or text."""
    if s.isprintable():
        return s
    return "".join(_escape(c) if unicodedata.category(c) in _UNSEEN else c for c in s)


def one_line(s: str) -> str:
    """Make each run of white space one blank, none at the ends, and write other controls as escapes."""
    return visible(" ".join(s.split()))


def _escape(c: str) -> str:
    if c in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[c]
    digits = f"{ord(c):x}"
    width, letter = next((w, a) for w, a in ((2, "x"), (4, "u"), (8, "U")) if len(digits) <= w)
    return f"\\{letter}{digits:0>{width}}"
