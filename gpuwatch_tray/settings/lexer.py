"""Words of the part of Bash that is data: quotes, escapes, line continuation, references to variables."""

from __future__ import annotations

import re
import string
from bisect import bisect_left
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.i18n import N_, _

if TYPE_CHECKING:
    from collections.abc import Iterable


class Literal(Struct, frozen=True):
    """Text that stands for itself. An unquoted `~` or brace in it may still mean something."""

    text: str
    quoted: bool


class Reference(Struct, frozen=True):
    """`$NAME` or `${NAME}`; with `home`, a `~` (HOME, or the account's folder where HOME is unset)."""

    name: str
    home: bool = False


Piece: TypeAlias = Literal | Reference


class Word(Struct, frozen=True):
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


class Fault(Struct, frozen=True):
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


OPERATORS = frozenset("&|()<>")
_WORD_ENDS = OPERATORS | frozenset(" \t\n;")
_PLAIN = late_pattern(r"""[^\\'"$` \t\n;&|()<>]+""")
_PLAIN_IN_QUOTES = late_pattern(r'[^\\"$`]+')
_ANSI_QUOTES = late_pattern(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_DOUBLE_QUOTES = late_pattern(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LETTERS = frozenset(string.ascii_letters + "_")
_NAME_CHARACTERS = _LETTERS | frozenset(string.digits)
_OF_THE_SHELL = frozenset(string.digits + "?$!@*#-")

_COMMAND = N_(
    "`$(...)` is a command that Bash would run: write its output here, or put a literal one in single quotes"
)
_BACKTICK = N_(
    "a backtick begins a command that Bash would run: write its output here, or put a "
    "literal one in single quotes"
)
_OPERATION = N_("only `${NAME}` is supported: write out what Bash would make of `${...}`")
_SHELL = N_("`$` before a digit or sign is a value of the running shell: put a literal one in single quotes")


class Scanner:
    """Reads words from `text` at `at`, from where the caller may peek and move on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.faults: list[Fault] = []
        self.references: list[tuple[int, str]] = []
        self.pieces: list[Piece] = []
        self._line_ends = [found.start() for found in re.finditer("\n", text)]
        self._long_quote: dict[str, int] = {}  # where the last quoted text over several lines begins

    def peek(self) -> str:
        r"""Return the next character, or '' at the end; skip each `\` before a line end, as Bash does."""
        while self.text.startswith("\\\n", self.at):
            self.at += 2
        return self.text[self.at : self.at + 1]

    def skip(self, characters: str) -> None:
        """Move past any of `characters`."""
        while (c := self.peek()) and c in characters:
            self.at += 1

    def line(self, at: int) -> int:
        """Return the number of the line of an offset, from 1."""
        return bisect_left(self._line_ends, at) + 1

    def line_end(self, at: int) -> int:
        """Return the offset of the line end at or behind `at`."""
        found = self.text.find("\n", at)
        return len(self.text) if found < 0 else found

    def skip_group(self, start: int, pair: str, *, quoted: bool) -> None:
        """Move from the first of `pair`, which begins something at `start`, past the one that closes it."""
        self.at += 1
        depth = 1
        while depth:
            c = self.peek()
            quotes = _ANSI_QUOTES if c == "'" and not quoted else _DOUBLE_QUOTES if c == '"' else None
            inner = None if quotes is None else quotes.match(self.text, self.at)
            if not c or (quotes is not None and inner is None):
                raise UnclosedError(
                    start, _("`{begin}` without a matching `{end}`").format(begin=pair[0], end=pair[1])
                )
            depth += (c == pair[0]) - (c == pair[1])
            self.at = inner.end() if inner is not None else self.at + (2 if c == "\\" else 1)

    def word(self) -> Word:
        """Read the word that begins here."""
        start = self.at
        self.pieces = []
        while (c := self.peek()) and c not in _WORD_ENDS:
            if plain := _PLAIN.match(self.text, self.at):
                self._literal(plain[0], quoted=False)
                self.at = plain.end()
            elif c == "\\":
                after = self.text[self.at + 1 : self.at + 2]
                if not after:  # which Bash keeps or drops by what came before it
                    self._fault(self.at, _("the file ends with a `\\`: remove it"))
                self._literal(after, quoted=True)
                self.at += 1 + len(after)
            elif c == "'":
                self._single()
            elif c == '"':
                self._double()
            elif c == "$":
                self._dollar(quoted=False)
            else:
                self._backtick()
        return Word(start, self.at, merged(self.pieces))

    def _literal(self, text: str, *, quoted: bool) -> None:
        self.pieces.append(Literal(text, quoted))

    def _fault(self, at: int, text: str) -> None:
        self.faults.append(Fault(at, text))
        self._literal("", quoted=True)  # stands for it: the word is not all bare

    def _single(self) -> None:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise self._never_closed(self.at, "'")
        self._closed(self.at, end)
        self._literal(self.text[self.at + 1 : end], quoted=True)
        self.at = end + 1

    def _double(self) -> None:
        start = self.at
        self.at += 1
        self._literal("", quoted=True)  # "" is something: it keeps a ~ behind it from being the first
        while (c := self.peek()) != '"':
            if plain := _PLAIN_IN_QUOTES.match(self.text, self.at):
                self._literal(plain[0], quoted=True)
                self.at = plain.end()
            elif c == "\\":
                escaped = self.text[self.at + 1 : self.at + 2]
                taken = escaped if escaped and escaped in '$`"\\' else ""
                self._literal(taken or "\\", quoted=True)
                self.at += 1 + len(taken)
            elif c == "$":
                self._dollar(quoted=True)
            elif c == "`":
                self._backtick()
            else:
                raise self._never_closed(start, '"')
        self._closed(start, self.at)
        self.at += 1

    def _dollar(self, *, quoted: bool) -> None:
        start = self.at
        self.at += 1
        c = self.peek()
        if c in _LETTERS:
            self._reference(start, self._name())
        elif c == "{":
            self._braced(start, quoted=quoted)
        elif c == "(":
            self._fault(start, _(_COMMAND))
            self.skip_group(start, "()", quoted=False)
        elif c == "[":
            self._fault(start, _("`$[...]` is arithmetic that Bash would do: write its result"))
        elif c and c in _OF_THE_SHELL:
            self._fault(start, _(_SHELL))
            self.at += 1
        elif c in {"'", '"'} and not quoted:
            self._fault(
                start, _("`${c}` begins Bash's own kind of quotes: write {c}...{c} without the $").format(c=c)
            )
            if c == "'":
                self._skip_ansi(start)
        else:
            self._literal("$", quoted=quoted)

    def _name(self) -> str:
        name = ""
        while (c := self.peek()) and c in _NAME_CHARACTERS:
            name += c
            self.at += 1
        return name

    def _reference(self, start: int, name: str) -> None:
        self.references.append((start, name))
        self.pieces.append(Reference(name))

    def _braced(self, start: int, *, quoted: bool) -> None:
        brace = self.at
        self.at += 1
        name = self._name() if self.peek() in _LETTERS else ""
        if name and self.peek() == "}":
            self.at += 1
            self._reference(start, name)
            return
        self._fault(start, _(_OPERATION))
        self.at = brace
        self.skip_group(start, "{}", quoted=quoted)

    def _backtick(self) -> None:
        start = self.at
        self._fault(start, _(_BACKTICK))
        self.at += 1
        while (c := self.peek()) != "`":
            if not c:
                raise UnclosedError(start, _("a backtick without a matching one"))
            self.at += 2 if c == "\\" else 1
        self.at += 1

    def _skip_ansi(self, start: int) -> None:
        found = _ANSI_QUOTES.match(self.text, self.at)
        if found is None:
            raise self._never_closed(start, "'")
        self.at = found.end()

    def _closed(self, start: int, end: int) -> None:
        if "\n" in self.text[start:end]:
            self._long_quote[self.text[start]] = start

    def _never_closed(self, start: int, quote: str) -> UnclosedError:
        text = _("the quote {quote} that begins here is never closed")
        line = 0
        if quote in self._long_quote:
            line = self.line(self._long_quote[quote])
            text = _(
                "the quote {quote} that begins here is never closed"
                " (or one is missing on line {line}, where a value over several lines begins)"
            )
        elif quote == "'":
            text = _("the quote {quote} that begins here is never closed: put a literal one in double quotes")
        return UnclosedError(start, text.format(quote=quote, line=line))
