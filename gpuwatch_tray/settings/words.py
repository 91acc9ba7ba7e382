"""Tokens of the scanner: words of literal text and references, and faults where a text is no data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that stands for itself. An unquoted `~` or brace in it may still mean something."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """`$NAME` or `${NAME}`; with `home`, a `~` (HOME, or the account's folder where HOME is unset)."""

    name: str
    home: bool = False


Piece: TypeAlias = Literal | Reference


@dataclass(frozen=True, slots=True)
class Word:
    """One word between `start` and `end`, offsets into the text."""

    start: int
    end: int
    pieces: tuple[Piece, ...]

    @property
    def bare(self) -> str:
        """Its text where it is all unquoted literal text, else ''."""
        match self.pieces:
            case (Literal(text, quoted=False),):
                return text
        return ""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is no data, at an offset of the text. Never quotes the text: it may be a password."""

    at: int
    text: str


class UnclosedError(Exception):
    """Something that begins at an offset and never ends: the reader starts again on the next line."""

    def __init__(self, at: int, text: str) -> None:
        super().__init__(text)
        self.at = at
        self.text = text


def merged(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """Join neighbouring literals of a kind."""
    result: list[Piece] = []
    for kind, group in groupby(pieces, lambda piece: piece.quoted if isinstance(piece, Literal) else None):
        if kind is None:
            result += group
        else:
            text = "".join(piece.text for piece in group if isinstance(piece, Literal))
            result.append(Literal(text, kind))
    return tuple(result)
