"""
Parser of the part of Bash that is data: assignments, `export`, quotes, `$NAME`, `~`; nothing is executed.

The source of the format is Bash's own reader (5.2: `parse.y`, `subst.c`), which the tests compare with.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.settings.lexer import OPERATORS, Literal, Piece, Reference, Scanner, UnclosedError, Word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_NAME = late_pattern(r"[A-Za-z_][A-Za-z0-9_]*")
# What is said of a text that Bash would execute. Nothing of the line is quoted save names and words of Bash:
# a stray word may be a password.
EXPORT = N_("`export` needs NAME=value here, with the name outside the quotes")
BRACES = N_("Bash would expand the braces: put the value in quotes")
NOT_PLAIN = N_("only NAME=value is supported: no lists, and no appending with +=")
NO_BLANKS = N_("no spaces around =")
AFTER_SEMICOLON = N_(
    "Bash would run what follows the `;` as a command: put a value that contains ; in quotes"
)
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
        return _("there is no command before this `;`: remove it")
    return _("`{sign}` outside quotes is an operator of Bash: put a value that contains it in quotes").format(
        sign=sign
    )


def command_message(words: Sequence[str], stray: int, before: str = "", *, empty: bool = False) -> str:
    """
    Explain the word at `stray`, which Bash would run as a command; '' is a word that is not all bare.

    `before` is the name assigned just before it on the same line, if any; `empty` says that its value is.
    """
    word = words[stray]
    following = words[stray + 1] if stray + 1 < len(words) else ""
    if before:
        how = _(NO_BLANKS) if empty else _("put a value with spaces in quotes")
        return _("Bash would run what follows {before}=... as a command: {how}").format(
            before=before, how=how
        )
    if _NAME.fullmatch(word) and following.startswith("="):
        return _("Bash would run the command '{word}': {how}").format(word=word, how=_(NO_BLANKS))
    if word in _DECLARE:
        return _("'{word}' is not allowed here: write NAME=value or export NAME=value").format(word=word)
    if word in _INCLUDE:
        return _("other files are not read from here: put their lines in this one")
    if word in _WORDS_OF_BASH:
        return _("Bash would run '{word}': only NAME=value and export NAME=value are allowed").format(
            word=word
        )
    if "=" in word:
        return _("Bash would run this as a command: a name contains only letters, digits and _")
    return _("Bash would run this line as a command: settings are written NAME=value")


HOME = Reference("HOME", home=True)
OTHER_HOME = N_(
    "`~name` is the home folder of another account: write that folder (put a literal ~ in quotes)"
)
_COLON_TILDE = late_pattern(r"(?<=:)(?=~)")


def expand_tildes(value: tuple[Piece, ...]) -> tuple[tuple[Piece, ...], str]:
    """
    Return the value with `HOME` for each `~` that stands for the own home folder, and a fault or ''.

    A `~` means something only where everything up to the next `/` or `:` is bare.
    """
    result: list[Piece] = []
    fault = ""
    for i, piece in enumerate(value):
        if not isinstance(piece, Literal) or piece.quoted:
            result.append(piece)
            continue
        parts = _COLON_TILDE.split(piece.text)
        for j, part in enumerate(parts):
            closed = "/" in part or ":" in part or (j == len(parts) - 1 and i == len(value) - 1)
            if not part.startswith("~") or not closed or (i > 0 and j == 0):
                result.append(Literal(part, quoted=False))
            elif len(part) == 1 or part[1] in "/:":
                result += [HOME, Literal(part[1:], quoted=False)]
            else:
                fault = _(OTHER_HOME)
    return tuple(result), fault


MOST_ERRORS = 50
_ASSIGNED = late_pattern(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<sign>=|\+=|\[[^]]*\]\+?=)")
_BRACES = late_pattern(r"\{.*(,|\.\.).*\}", re.DOTALL)


class Assignment(Struct, frozen=True):
    """`name=value`, not yet expanded, between two offsets of the text; `line` is that of its name."""

    name: str
    line: int
    start: int
    end: int
    pieces: tuple[Piece, ...]


class ShellCommand(Struct, frozen=True):
    """Assignments that Bash carries out together."""

    assignments: tuple[Assignment, ...]
    export: bool = False  # Bash expands every value before it assigns the first


class DataError(Struct, frozen=True):
    """Text that is no data: its line, the key whose value it is part of ('' if none), how to correct it."""

    line: int
    key: str
    text: str


class Script(Struct, frozen=True):
    """What a text says."""

    commands: tuple[ShellCommand, ...] = ()
    errors: tuple[DataError, ...] = ()
    broken: frozenset[str] = frozenset()  # names whose assignments could not be read
    references: tuple[tuple[int, str], ...] = ()  # (offset, name) of every variable used


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
                self._error(scanner.at, "", _("too many errors above: the rest was not read"))
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
                    self._stop(operator_message(after), words)
                    return
                break
            if c == ";" or c in OPERATORS:
                self._stop(operator_message(c), words)
                return
            words.append(scanner.word())
            if scanner.peek() == "(" and words[-1].bare.endswith("=") and (split := _split(words[-1])):
                at = scanner.at
                scanner.skip_group(at, "()", quoted=False)
                scanner.faults.clear()
                text = _('lists are not supported: write {name}="..." with everything in one pair of quotes')
                self._reject(at, text.format(name=split[0]), words)
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
            self._error(words[0].start, "", _(EXPORT))
        read = [self._assignment(word, export=export) for word in (words[1:] if export else words)]
        self.commands.append(
            ShellCommand(tuple(assignment for assignment in read if assignment is not None), export)
        )

    def _assignment(self, word: Word, *, export: bool) -> Assignment | None:
        split = _split(word)
        if split is None:  # after `export`: a name alone changes nothing
            if not _NAME.fullmatch(word.bare):
                self._error(word.start, "", _(EXPORT))
            return None
        name, sign, value = split
        pieces, tilde_fault = expand_tildes(value)
        if HOME in pieces:
            self.scanner.references.append((word.start, HOME.name))
        faults = [(f.at, f.text) for f in self.scanner.faults if word.start <= f.at < word.end]
        if sign != "=":
            faults.append((word.start, _(NOT_PLAIN)))
        if tilde_fault:
            faults.append((word.start, tilde_fault))
        if export and _BRACES.search(_skeleton(word)):
            faults.append((word.start, _(BRACES)))
        for at, text in faults:
            self._error(at, name, text)
        if faults:
            self.broken.add(name)
            return None
        return Assignment(name, self._line(word.start), word.start, word.end, pieces)

    def _reject_command(self, words: list[Word], stray: int) -> None:
        texts = [word.bare for word in words]
        start = words[stray].start
        if stray:
            name, _sign, value = _split(words[stray - 1]) or ("", "", ())
            self._reject(start, command_message(texts, stray, name, empty=not value), words)
        elif self.scanner.text[:start].rstrip(" \t").endswith(";"):
            self._reject(start, _(AFTER_SEMICOLON), words)
        else:
            meant = texts[0] if len(words) > 1 and texts[1].startswith("=") else ""
            key = meant if _NAME.fullmatch(meant) else ""
            self.broken.update({key} - {""})
            self._error(start, key, command_message(texts, 0))

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


LONGEST = 65536  # characters of a value: A=$A$A, line after line, grows without end
_BASH_OWN = frozenset(
    name
    for line in (
        "_ COMP_WORDBREAKS DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME GROUPS HISTCMD IFS LINENO",
        "OLDPWD OPTERR OPTIND PIPESTATUS POSIXLY_CORRECT PPID PS4 PWD RANDOM SECONDS SHELLOPTS SHLVL",
        "SRANDOM UID",
    )
    for name in line.split()
)
# What Bash fills in only where neither the environment nor a file says it.
_BASH_DEFAULTS = frozenset({"HOSTNAME", "HOSTTYPE", "MACHTYPE", "OSTYPE", "PATH", "SHELL", "TERM"})
_FILLED_IN = N_("uses a variable that Bash itself sets: write out its value")
_KEPT = N_("Bash reserves this name: use another")
_TOO_LONG = N_("longer than {most} characters")


class ExpandedValue(Struct, frozen=True):
    """One assignment carried out. `unset` are the variables in it that stood nowhere, empty as in Bash."""

    name: str
    text: str
    line: int
    end: int
    unset: tuple[str, ...] = ()


class Namespace:
    """The variables as one file after the other is sourced; `home` is what `~` is where HOME is unset."""

    def __init__(self, environ: Mapping[str, str], home: str) -> None:
        self._environ = environ
        self._home = home
        self._set: dict[str, str] = {}
        self._broken: set[str] = set()
        self._poisoned: set[str] = set()  # broken, and not set rightly since

    def source(self, script: Script) -> tuple[list[ExpandedValue], list[DataError], frozenset[str]]:
        """
        Carry the script out: every value in order, errors, the names whose assignments came to nothing.

        A value that takes in a name with a broken assignment is left out too, without an error of its own.
        """
        self._broken |= script.broken
        self._poisoned |= script.broken
        values: list[ExpandedValue] = []
        errors: list[DataError] = []
        for command in script.commands:
            waiting: list[ExpandedValue] = []
            for assignment in command.assignments:
                outcome = self._outcome(assignment)
                if isinstance(outcome, ExpandedValue):
                    waiting.append(outcome)
                else:
                    self._broken.add(assignment.name)
                    self._poisoned.add(assignment.name)
                    errors += [DataError(assignment.line, assignment.name, outcome)] if outcome else []
                if not command.export:
                    self._assign(waiting, values)
            self._assign(waiting, values)
        return values, errors, frozenset(self._broken)

    def _assign(self, waiting: list[ExpandedValue], values: list[ExpandedValue]) -> None:
        self._set.update((value.name, value.text) for value in waiting)
        self._poisoned.difference_update(value.name for value in waiting)
        values += waiting
        waiting.clear()

    def _outcome(self, assignment: Assignment) -> ExpandedValue | str:
        """Return the value, or what is wrong with it ('' where an error says so already)."""
        used = [piece.name for piece in assignment.pieces if isinstance(piece, Reference)]
        if _of_bash(assignment.name):
            return _(_KEPT)
        if any(map(self._filled_in, used)):
            return _(_FILLED_IN)
        if not self._poisoned.isdisjoint(used):
            return ""
        text = ""
        unset: list[str] = []
        for piece in assignment.pieces:
            found = piece.text if isinstance(piece, Literal) else self._look_up(piece)
            if found is None and isinstance(piece, Reference):
                unset.append(piece.name)
            text += found or ""
            if len(text) > LONGEST:
                return _(_TOO_LONG).format(most=LONGEST)
        return ExpandedValue(assignment.name, text, assignment.line, assignment.end, tuple(unset))

    def _look_up(self, reference: Reference) -> str | None:
        found = self._set.get(reference.name, self._environ.get(reference.name))
        return self._home if found is None and reference.home else found

    def _filled_in(self, name: str) -> bool:
        known = name in self._set or name in self._environ
        return _of_bash(name) or (name in _BASH_DEFAULTS and not known)


def _of_bash(name: str) -> bool:
    return name in _BASH_OWN or name.startswith("BASH")
