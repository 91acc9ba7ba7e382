"""
Parser and lexer of the part of Bash that is data: assignments, `export`, quotes, `$NAME`, `~`.

What Bash would execute is an error that names the line and its correction; nothing is ever executed.
Reading goes on after an error. The source of the format is Bash's own reader (5.2: `parse.y`, `subst.c`);
the tests compare with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpuwatch_tray.language import _
from gpuwatch_tray.settings import wording
from gpuwatch_tray.settings.scanner import OPERATORS, Scanner
from gpuwatch_tray.settings.tilde import HOME, expand_tildes
from gpuwatch_tray.settings.words import Literal, Piece, UnclosedError, Word

MOST_ERRORS = 50
_ASSIGNED = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<sign>=|\+=|\[[^]]*\]\+?=)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACES = re.compile(r"\{.*(,|\.\.).*\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Assignment:
    """`name=value`, not yet expanded. `end` is the offset behind it, `line` that of its name."""

    name: str
    line: int
    end: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """
    Assignments that Bash carries out together.

    With `export` Bash expands every value before it assigns the first, else one after the other.
    """

    assignments: tuple[Assignment, ...]
    export: bool = False


@dataclass(frozen=True, slots=True)
class DataError:
    """Text that is no data: its line, the key whose value it is part of ('' if none), how to correct it."""

    line: int
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Script:
    """
    What a text says. `broken` are the names whose assignments could not be read.

    `references` are (offset, name) of every variable used, those in broken parts too.
    """

    commands: tuple[ShellCommand, ...] = ()
    errors: tuple[DataError, ...] = ()
    broken: frozenset[str] = frozenset()
    references: tuple[tuple[int, str], ...] = ()


def parse_script(text: str) -> Script:
    r"""Read a text with `\n` line ends. Never raises."""
    reader = ShellParser(text)
    reader.read()
    errors = sorted(dict.fromkeys(reader.errors), key=lambda error: error.line)
    return Script(
        tuple(reader.commands), tuple(errors), frozenset(reader.broken), tuple(reader.scanner.references)
    )


class ShellParser:
    """Reads a script command by command; what Bash would execute becomes an error."""

    def __init__(self, text: str) -> None:
        self.scanner = Scanner(text)
        self.commands: list[ShellCommand] = []
        self.errors: list[DataError] = []
        self.broken: set[str] = set()

    def read(self) -> None:
        """Read the whole text."""
        scanner = self.scanner
        while True:
            scanner.skip(" \t\n")
            if not scanner.peek():
                return
            if len(self.errors) >= MOST_ERRORS:
                self._error(scanner.at, "", _("too many errors above: the rest is not read"))
                return
            scanner.faults.clear()
            words: list[Word] = []
            try:
                self._command(words)
            except UnclosedError as error:
                # Bash would read on to the end of the file; to see the other errors, we start again.
                unfinished = Word(error.at, error.at, tuple(scanner.pieces))
                self._reject(error.at, error.text, [*words, unfinished])
                scanner.at = scanner.line_end(error.at)

    def _command(self, words: list[Word]) -> None:
        """Collect words up to the end of a command (a line end, a `;`, a comment), and carry it out."""
        scanner = self.scanner
        while True:
            scanner.skip(" \t")
            c = scanner.peek()
            if c == "#":
                scanner.at = scanner.line_end(scanner.at)
                break
            if c in {"", "\n"}:
                break
            if c == ";" and words:
                scanner.at += 1
                after = scanner.peek()
                if after and after in ";&":
                    self._stop(wording.operator_message(after), words)
                    return
                break
            if c == ";" or c in OPERATORS:
                self._stop(wording.operator_message(c), words)
                return
            words.append(scanner.word())
            if scanner.peek() == "(" and words[-1].bare.endswith("=") and (split := _split(words[-1])):
                at = scanner.at
                scanner.skip_group(at, "()", quoted=False)
                scanner.faults.clear()
                self._reject(at, wording.list_message(split[0]), words)
                self._rest_of_line()
                return
        if words:
            self._carry_out(words)

    def _stop(self, text: str, words: list[Word]) -> None:
        self._reject(self.scanner.at, text, words)
        self._rest_of_line()

    def _rest_of_line(self) -> None:
        """Move to the line end, which is not one within quotes."""
        scanner = self.scanner
        while (c := scanner.peek()) not in {"", "\n"}:
            if c == "#":
                scanner.at = scanner.line_end(scanner.at)
            elif c in " \t;" or c in OPERATORS:
                scanner.at += 1
            else:
                scanner.word()

    def _carry_out(self, words: list[Word]) -> None:
        export = words[0].bare == "export"
        if not export:
            stray = next((i for i, word in enumerate(words) if _split(word) is None), None)
            if stray is not None:
                self._reject_command(words, stray)
                return
        elif len(words) == 1:
            self._error(words[0].start, "", _(wording.EXPORT))
        read = [self._assignment(word, export=export) for word in (words[1:] if export else words)]
        self.commands.append(
            ShellCommand(tuple(assignment for assignment in read if assignment is not None), export)
        )

    def _assignment(self, word: Word, *, export: bool) -> Assignment | None:
        split = _split(word)
        if split is None:  # after `export`: a name alone changes nothing
            if not _NAME.fullmatch(word.bare):
                self._error(word.start, "", _(wording.EXPORT))
            return None
        name, sign, value = split
        pieces, tilde_fault = expand_tildes(value)
        if HOME in pieces:
            self.scanner.references.append((word.start, HOME.name))
        faults = [(f.at, f.text) for f in self.scanner.faults if word.start <= f.at < word.end]
        if sign != "=":
            faults.append((word.start, _(wording.NOT_PLAIN)))
        if tilde_fault:
            faults.append((word.start, tilde_fault))
        if export and _BRACES.search(_skeleton(word)):
            faults.append((word.start, _(wording.BRACES)))
        for at, text in faults:
            self._error(at, name, text)
        if faults:
            self.broken.add(name)
            return None
        return Assignment(name, self._line(word.start), word.end, pieces)

    def _reject_command(self, words: list[Word], stray: int) -> None:
        texts = [word.bare for word in words]
        start = words[stray].start
        if stray:
            name, _sign, value = _split(words[stray - 1]) or ("", "", ())
            self._reject(start, wording.command_message(texts, stray, name, empty=not value), words)
        elif self.scanner.text[:start].rstrip(" \t").endswith(";"):
            self._reject(start, _(wording.AFTER_SEMICOLON), words)
        else:
            meant = texts[0] if len(words) > 1 and texts[1].startswith("=") else ""
            key = meant if _NAME.fullmatch(meant) else ""
            self.broken.update({key} - {""})
            self._error(start, key, wording.command_message(texts, 0))

    def _reject(self, at: int, text: str, words: list[Word]) -> None:
        """Drop a command as a whole; the error belongs to the last name that it assigns."""
        names = [split[0] for word in words if (split := _split(word))]
        self.broken.update(names)
        self._error(at, names[-1] if names else "", text)

    def _error(self, at: int, key: str, text: str) -> None:
        self.errors.append(DataError(self._line(at), key, text))

    def _line(self, at: int) -> int:
        return self.scanner.line(at)


def _split(word: Word) -> tuple[str, str, tuple[Piece, ...]] | None:
    """Name, sign and value of a word that is an assignment, which it is only if name and sign are bare."""
    first, rest = word.pieces[:1], word.pieces[1:]
    match first:
        case (Literal(text, quoted=False),) if found := _ASSIGNED.match(text):
            begin = text[found.end() :]
            value = (Literal(begin, quoted=False), *rest) if begin else rest
            return found["name"], found["sign"], value
    return None


def _skeleton(word: Word) -> str:
    """Return the bare text of a word, with `-` for each other piece."""
    return "".join(
        piece.text if isinstance(piece, Literal) and not piece.quoted else "-" for piece in word.pieces
    )
