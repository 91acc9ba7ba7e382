"""Loading the settings from the environment and the files, with every problem at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gpuwatch_tray import i18n
from gpuwatch_tray.alerts import RoutingPolicy
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import ExportSettings, FaultLimits, HeatLimits, Limits, UseLimits, schema
from gpuwatch_tray.settings import paths, validators
from gpuwatch_tray.settings.lab_account import check_lab
from gpuwatch_tray.settings.mail_account import choose_transport, question_recipients
from gpuwatch_tray.settings.model import ConfigProblem, LabSettings, Settings
from gpuwatch_tray.settings.reader import SettingsReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gpuwatch_tray.settings.model import ChatAddress


_HOME_FILE = 0  # TO_EMAIL's, by its place in the order of the files
_LINE = f'{schema.TO_EMAIL.key}="name@host"'


def no_recipient(reader: SettingsReader) -> str:
    """Return a line with the place and the fix, once TO_EMAIL was taken from `reader` and gave nobody."""
    name = schema.TO_EMAIL.key
    for number, problem in reader.problems:
        if problem.key == name or (number == _HOME_FILE and number in reader.unread):
            return str(problem)
    last = reader.last(schema.TO_EMAIL)
    if last is not None:
        place = f"{reader.files[last.file].shown}:{last.line}: {name}"
        if schema.EXAMPLE_ADDRESS in last.text:
            return _("{place} is still the example address; replace it with yours").format(place=place)
        return _("{place} is empty").format(place=place)
    file = reader.files[_HOME_FILE]
    if not file.found:
        text = _("no mail address is set ({key} in {file}): `gpuwatch-tray setup mail` asks for it")
        return text.format(key=name, file=file.shown)
    return _("{file}: {key} is not set; add {line}").format(file=file.shown, key=name, line=_LINE)


_BEFORE_SMTP = 2  # files: notify.env's FROM_EMAIL is the general one, smtp.env's is the server's
_STATE = "GPUWATCH_CACHE"


def load(
    environ: Mapping[str, str], folders: paths.SettingsFolders | None = None
) -> tuple[Settings, tuple[ConfigProblem, ...]]:
    """
    Return the settings, with the default for each key that is wrong, and what is wrong.

    Never raises for what files or variables hold. `folders` are the real places unless a test says others.
    """
    folders = folders or paths.settings_folders()
    files = [paths.find(name, variable, environ, folders) for name, variable in paths.FILES]
    reader = SettingsReader(files, environ, folders.home)
    method, smtp, (credentials, token) = choose_transport(reader, reader.value(schema.NOTIFY_METHOD))
    state = environ.get(_STATE, "")
    values = _values(reader)
    language = reader.value(schema.UI_LANGUAGE)
    chats_file = reader.value(schema.NOTIFY_URLS_FILE)
    chats, wrong, exposed = _read_chats(chats_file)
    values["routing"] = replace(values["routing"], chats=tuple(chat.route for chat in chats))
    question_recipients(reader)
    check_lab(reader, values["lab"])
    settings = Settings(
        config=files[0].path,
        state=paths.absolute(state, environ, folders) if state else folders.state,
        log=None if state else folders.log,
        no_recipient="" if values["to_email"] else no_recipient(reader),
        notify_method=method,
        gmail_credentials=credentials,
        gmail_token=token,
        from_email=reader.value(schema.FROM_EMAIL, files=_BEFORE_SMTP),
        smtp=smtp,
        chats=chats,
        chats_file=chats_file,
        mygpu=environ.get("MYGPU", "").strip(),
        language=i18n.system_language(environ) if language == validators.AUTO else language,
        warnings=(*reader.warnings, *exposed),
        **values,
    )
    problems = (*reader.sorted_problems(), *wrong)
    if not settings.state.is_absolute():
        text = _("not set, and this account has no home folder: set it to a folder for the state")
        problems = (ConfigProblem(_STATE, None, "", text), *problems)
    return settings, problems


def _read_chats(
    file: Path | None,
) -> tuple[tuple[ChatAddress, ...], tuple[ConfigProblem, ...], tuple[str, ...]]:
    """Read the file of the chats; without one, nothing is loaded for it."""
    if file is None:
        return (), (), ()
    from gpuwatch_tray.settings.chat_addresses import read_chats

    return read_chats(file)


def _values(reader: SettingsReader) -> dict[str, Any]:
    values = {
        setting.field_path: reader.value(setting)
        for setting in schema.SETTINGS.values()
        if setting.field_path
    }

    def below(prefix: str) -> dict[str, Any]:
        names = {
            name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)
        }
        return {name: value for name, value in names.items() if "." not in name}

    limits = Limits(
        **below("limits."),
        poll=values["poll"],
        heat=HeatLimits(**below("limits.heat.")),
        faults=FaultLimits(**below("limits.faults.")),
        use=UseLimits(**below("limits.use.")),
    )
    routing, lab = RoutingPolicy(**below("routing.")), LabSettings(**below("lab."))
    export = ExportSettings(**below("export."))
    return {**below(""), "limits": limits, "routing": routing, "lab": lab, "export": export}


class Changes:
    """
    Detects changes of the files.

    One thread polls it every few seconds, at a `stat` of each file; sooner while a change is `pending`, seen
    and not yet read.

    An editor writes a file in steps: one that is empty for a moment must not switch off a rule or a
    recipient. So a change counts once two polls in a row found the files the same. The first poll that does
    reads them as well, for what changed during the start. A file that is gone is a mistake: the home folder
    may not be mounted.
    """

    def __init__(self, environ: Mapping[str, str], folders: paths.SettingsFolders | None = None) -> None:
        self._environ = environ
        self._folders = folders or paths.settings_folders()
        self._files = paths.files_to_check(environ, self._folders)
        self.pending = True
        self._read: tuple[paths.Stamp, ...] | None = None
        self._before: tuple[paths.Stamp, ...] | None = None
        self._there: set[int] = set()  # the files that were there at some time, by their place
        self._chats: Path | None = None  # the file of the addresses, which a setting names

    def check(self) -> tuple[Settings, tuple[ConfigProblem, ...]] | None:
        """Read the files if they have changed and are at rest; return None otherwise."""
        now = self._stamps()
        at_rest, self._before = now == self._before, now
        self.pending = now != self._read
        if not self.pending or not at_rest:
            return None
        settings, problems = load(self._environ, self._folders)
        if self._stamps() != now:
            return None
        # A file of addresses that was not known before is one more stamp: then all is read once more.
        self._read, self._chats = now, settings.chats_file
        self._there |= {place for place, stamp in enumerate(now) if stamp is not None}
        named = {problem.path for problem in problems}
        text = _("is gone: put it back, or restart to use the defaults")
        gone = [
            ConfigProblem(str(file), None, "", text)
            for place, file in enumerate(self._files)
            if place in self._there and now[place] is None and str(file) not in named
        ]
        return settings, (*gone, *problems)

    def _stamps(self) -> tuple[paths.Stamp, ...]:
        named = () if self._chats is None else (self._chats,)
        return paths.stamps((*self._files, *named))
