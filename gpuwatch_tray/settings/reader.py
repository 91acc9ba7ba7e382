"""Reading the files as one namespace, as Bash has it, and the settings by key in it."""

from __future__ import annotations

from collections import defaultdict
from shlex import quote
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model.schema import SETTINGS, SMTP_PASS
from gpuwatch_tray.settings.model import ConfigProblem
from gpuwatch_tray.settings.shell import ExpandedValue, Namespace, Script, parse_script
from gpuwatch_tray.settings.validators import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpuwatch_tray.model.schema import Setting
    from gpuwatch_tray.settings.paths import SourceFile


_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_LONE_CR = N_("a carriage return within a line: save the file with LF or CRLF line ends")


# Variables of the environment that people look for among the keys.
_ENVIRONMENT = frozenset({"MYGPU", "PATH", "LD_LIBRARY_PATH", "LANG", "LANGUAGE", "TZ", "HOME", "USER"})


class GivenValue(Struct, frozen=True):
    """An assignment of a key: the text, and the file (by its place in the order) and line it stands in."""

    text: str
    file: int
    line: int


class SettingsReader:
    """The assignments of the files; `problems` (with the file's place) grows as values are read."""

    def __init__(self, files: Sequence[SourceFile], environ: Mapping[str, str], home: str) -> None:
        self.files = files
        self.problems: list[tuple[int, ConfigProblem]] = []
        self.warnings: list[str] = []
        self.unread: set[int] = set()  # files that are there and could not be read
        self.broken: frozenset[str] = frozenset()
        self.placeholders: dict[str, GivenValue] = {}
        self._given: defaultdict[str, list[GivenValue]] = defaultdict(list)
        namespace = Namespace(environ, home)
        scripts = [self._script(number, file) for number, file in enumerate(files)]
        for number, script in enumerate(scripts):
            values, errors, self.broken = namespace.source(script)
            for error in (*script.errors, *errors):
                self.problem(number, error.line, error.key, error.text)
            for value in values:
                self._assign(number, value, scripts[number:])
        self._warn_of_exposed()

    def problem(self, file: int, line: int | None, key: str, text: str) -> None:
        """Note a problem."""
        self.problems.append((file, ConfigProblem(self.files[file].shown, line, key, text)))

    def sorted_problems(self) -> tuple[ConfigProblem, ...]:
        """Return all problems, in the order of files and lines."""
        found = sorted(self.problems, key=lambda found: (found[0], found[1].line or 0))
        return tuple(dict.fromkeys(problem for _file, problem in found))

    def given(self, setting: Setting, *, files: int | None = None) -> GivenValue | None:
        """Return the last assignment of the key in the first `files` files, or in all, unless it is empty."""
        found = [given for given in self._given[setting.key] if files is None or given.file < files]
        return found[-1] if found and found[-1].text.strip() else None

    def last(self, setting: Setting) -> GivenValue | None:
        """Return the last assignment of the key, even if it is empty or a placeholder."""
        found = [*self._given[setting.key], *filter(None, [self.placeholders.get(setting.key)])]
        return max(found, key=lambda given: (given.file, given.line), default=None)

    def value(self, setting: Setting, *, files: int | None = None) -> Any:
        """Return the value in base units: the default where it is not set, or wrong (a problem)."""
        given = self.given(setting, files=files)
        if given is not None:
            try:
                return parse(setting, given.text.strip())
            except ValueError as error:
                self.problem(given.file, given.line, setting.key, str(error))
        return parse(setting, setting.default.strip())

    def _script(self, number: int, file: SourceFile) -> Script:
        binary = file.data.startswith(_UTF16) or b"\0" in file.data
        if file.problem or binary:
            self.unread.add(number)
            self.problem(number, None, "", file.problem or _("not UTF-8 text: save it as UTF-8"))
            return Script()
        # A byte that is not UTF-8 does no harm in a comment; the checks see to it in a value.
        text = file.data.decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n").removesuffix("\r")
        before, lone, _rest = text.partition("\r")
        if lone:  # Bash would join the lines on its two sides
            self.unread.add(number)
            self.problem(number, before.count("\n") + 1, "", _(_LONE_CR))
            return Script()
        return parse_script(text)

    def _assign(self, number: int, value: ExpandedValue, scripts: Sequence[Script]) -> None:
        setting = SETTINGS.get(value.name)
        if setting is None:
            if not _used_later(value, scripts):
                self.problem(number, value.line, value.name, _unknown_key(value.name))
            return
        given = GivenValue(value.text, number, value.line)
        if setting.is_placeholder(value.text):
            self.placeholders[value.name] = given
        else:
            self._given[value.name].append(given)
        if value.unset:
            # Not by its name where it may be a part of a password.
            which = _("a variable") if setting is SMTP_PASS else f"${value.unset[0]}"
            text = _("{place}: {which} is not set anywhere, so it is empty")
            self.warnings.append(text.format(place=self.place(given, setting), which=which))

    def place(self, given: GivenValue, setting: Setting) -> str:
        """Return file, line and key of a value, for people."""
        return f"{self.files[given.file].shown}:{given.line}: {setting.key}"

    def _warn_of_exposed(self) -> None:
        given = self.given(SMTP_PASS)
        if given is not None and self.files[given.file].exposed:
            file = self.files[given.file]
            self.warnings.append(
                _("{file}: others can read SMTP_PASS: {mend}").format(
                    file=file.shown, mend=f"chmod 600 {quote(str(file.path))}"
                )
            )


def _used_later(value: ExpandedValue, scripts: Sequence[Script]) -> bool:
    """Tell whether a later assignment uses this one: it is a helper then, and no wrong key."""
    own, *others = scripts
    return any(name == value.name and at >= value.end for at, name in own.references) or any(
        name == value.name for script in others for _at, name in script.references
    )


def _unknown_key(name: str) -> str:
    """Say what is wrong with a name that is no key."""
    if name in _ENVIRONMENT or name.startswith(("GPUWATCH_", "LC_", "CUDA_")):
        return _("an environment variable, not a setting: set it where gpuwatch-tray is started")
    import difflib  # a tray whose settings are right never needs it

    near = difflib.get_close_matches(name.upper(), SETTINGS, n=1, cutoff=0.7)
    if near:
        return _("unknown key: did you mean {name}?").format(name=near[0])
    return _("unknown key, and no later line uses it: remove it (config/*.env.example lists the keys)")
