"""How wide a text stands on a terminal or in a menu: Chinese characters and their like take two columns."""

from __future__ import annotations

import unicodedata

WIDE = frozenset({"W", "F"})  # wide and full width, by Unicode Standard Annex 11


def width(text: str) -> int:
    """The columns that `text` takes."""
    if text.isascii():
        return len(text)
    return sum(map(_width, text))


def cut(text: str, columns: int) -> str:
    """The beginning of `text` that fits into so many columns."""
    taken = 0
    for place, sign in enumerate(text):
        taken += _width(sign)
        if taken > columns:
            return text[:place]
    return text


def padded(text: str, columns: int) -> str:
    """`text` with blanks up to so many columns."""
    return text + " " * max(0, columns - width(text))


def _width(sign: str) -> int:
    if unicodedata.combining(sign):  # stands over the one before it
        return 0
    return 2 if unicodedata.east_asian_width(sign) in WIDE else 1
