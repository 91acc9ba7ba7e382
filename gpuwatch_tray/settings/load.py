"""Loading the settings from the environment and the files, with every problem at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray import language
from gpuwatch_tray.language import _
from gpuwatch_tray.model import FaultLimits, HeatLimits, Limits, UseLimits, schema
from gpuwatch_tray.settings import checks, paths
from gpuwatch_tray.settings.kinds import ConfigProblem, Settings
from gpuwatch_tray.settings.reading import SettingsReader
from gpuwatch_tray.settings.recipient import no_recipient
from gpuwatch_tray.settings.ways import choose_transport

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    files = paths.find_all(environ, folders)
    reader = SettingsReader(files, environ, folders.home)
    method, smtp, (credentials, token) = choose_transport(reader, reader.value(schema.NOTIFY_METHOD))
    state = environ.get(_STATE, "")
    values = _values(reader)
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
        mygpu=environ.get("MYGPU", "").strip(),
        language=_language(reader.value(schema.UI_LANGUAGE), environ),
        warnings=tuple(reader.warnings),
        **values,
    )
    problems = reader.sorted_problems()
    if not settings.state.is_absolute():
        text = _("not set, and this account has no home folder: name the folder for the state")
        problems = (ConfigProblem(_STATE, None, "", text), *problems)
    return settings, problems


def _language(asked: str, environ: Mapping[str, str]) -> str:
    return language.system_language(environ) if asked == checks.AUTO else asked


def _values(reader: SettingsReader) -> dict[str, Any]:
    """Return the arguments of `Settings` that the table of settings names."""
    kept = {setting.kept: reader.value(setting) for setting in schema.SETTINGS.values() if setting.kept}

    def below(prefix: str) -> dict[str, Any]:
        names = {name.removeprefix(prefix): value for name, value in kept.items() if name.startswith(prefix)}
        return {name: value for name, value in names.items() if "." not in name}

    limits = Limits(
        **below("limits."),
        poll=kept["poll"],
        heat=HeatLimits(**below("limits.heat.")),
        faults=FaultLimits(**below("limits.faults.")),
        use=UseLimits(**below("limits.use.")),
    )
    return {**below(""), "limits": limits}
