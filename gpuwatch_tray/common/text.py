"""Texts on a terminal or in a menu: columns, tables, lengths as Windows counts them, escape sequences."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from gpuwatch_tray.common.late_pattern import late_pattern

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


# What is not broken: a word or a Chinese character, with the blanks behind it and what must not begin a line:
# comma, stop, semicolon, colon, enumeration comma, the marks of a call and a question, closing brackets.
_HAN = "\u2e80-\u303f\u3040-\u9fff\uf900-\ufaff\uff00-\uffef"
_CLOSING = "\uff0c\u3002\uff1b\uff1a\u3001\uff01\uff1f\uff09\u300d\u300f\u300b"
_PIECE = late_pattern(rf"(?:[{_HAN}]|[^\s{_HAN}]+)[{_CLOSING}]*\s*")
WIDE = frozenset({"W", "F"})  # wide and full width, by Unicode Standard Annex 11


def display_width(text: str) -> int:
    """Count the columns that `text` takes: two for a Chinese character and its like."""
    if text.isascii():
        return len(text)
    return sum(map(_character_width, text))


def cut_to_width(text: str, columns: int) -> str:
    """Cut `text` to the beginning that fits into `columns`."""
    taken = 0
    for place, character in enumerate(text):
        taken += _character_width(character)
        if taken > columns:
            return text[:place]
    return text


def pad_to_width(text: str, columns: int) -> str:
    """Fill `text` up with blanks to `columns`."""
    return text + " " * max(0, columns - display_width(text))


def wrap_to_width(text: str, columns: int) -> list[str]:
    """Break `text` into lines of at most `columns`, at blanks and between Chinese characters."""
    lines: list[str] = []
    line = ""
    for piece in _PIECE.findall(text):
        if line and display_width(line) + display_width(piece.rstrip()) > columns:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return [*lines, line.rstrip()] if line.strip() else lines


def wrap_hanging(line: str, columns: int, hang: int) -> list[str]:
    """Break `line` as `wrap_to_width` does; what follows its first part stands `hang` columns further in."""
    body = line.lstrip()
    indent = len(line) - len(body)
    if display_width(line) <= columns or not body:
        return [line]
    first = wrap_to_width(body, columns - indent)[0]
    rest = wrap_to_width(body[len(first) :].lstrip(), columns - indent - hang)
    return [" " * indent + first, *(" " * (indent + hang) + part for part in rest)]


def align_columns(rows: Sequence[Sequence[str]], left: int, least: int = 0) -> list[str]:
    """Lay out a table: the first `left` columns flush left, the others right; the first `least` wide."""
    widths = [max(map(display_width, cells)) for cells in zip(*rows, strict=True)]
    widths[:1] = [max(width, least) for width in widths[:1]]
    lines = []
    for row in rows:
        cells = [
            pad_to_width(cell, width) if place < left else " " * (width - display_width(cell)) + cell
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


NAMED = 5  # names in a sentence


def listed(names: Collection[str]) -> str:
    """Name some in a sentence, NAMED at most."""
    return ", ".join(list(names)[:NAMED]) + (", …" if len(names) > NAMED else "")


def _character_width(character: str) -> int:
    if unicodedata.combining(character):  # stands over the one before it
        return 0
    return 2 if unicodedata.east_asian_width(character) in WIDE else 1


def clip_utf16(text: str, units: int) -> str:
    """Cut `text` to at most `units` UTF-16 code units, never inside a character."""
    encoded = text.encode("utf-16-le", "replace")
    return text if len(encoded) <= 2 * units else encoded[: 2 * units].decode("utf-16-le", "ignore")


# What Pango and Qt take for markup. html.escape does the same, and loads a table of all entities with it.
_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def escape_markup(text: str) -> str:
    """Write a text so that markup shows it as it is."""
    return text.translate(_MARKUP)


# What colours text and moves the cursor (ECMA-48): CSI, OSC and the two-byte escapes.
_ESCAPES = late_pattern(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")


def strip_escapes(text: str) -> str:
    """Remove what colours text and moves the cursor."""
    return _ESCAPES.sub("", text)
