"""Strangers' text made harmless: on one line, nothing that moves a cursor or turns the reading order."""

from __future__ import annotations

import unicodedata

_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
# Controls, format characters (the marks that reverse text among them), halves of pairs (how Python carries
# bytes that are no UTF-8; no mail or bus message can hold them), line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(s: str) -> str:
    r"""The text with control characters written as escapes: `\n`, `\x1b`, `\u202e`."""
    if s.isprintable():
        return s
    return "".join(_escape(c) if unicodedata.category(c) in _UNSEEN else c for c in s)


def one_line(s: str) -> str:
    """The text with each run of white space as one blank, none at its ends, other controls as escapes."""
    return visible(" ".join(s.split()))


def _escape(c: str) -> str:
    if c in _NAMED:
        return _NAMED[c]
    digits = f"{ord(c):x}"
    width, letter = next((w, a) for w, a in ((2, "x"), (4, "u"), (8, "U")) if len(digits) <= w)
    return f"\\{letter}{digits:0>{width}}"
