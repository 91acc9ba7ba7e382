"""From the environment and the files it leads to, to Settings, and to every problem at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import language
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Limits
from gpuwatch_tray.settings import checks, keys, paths, thresholds
from gpuwatch_tray.settings.kinds import ConfigProblem, Settings
from gpuwatch_tray.settings.reading import Reading
from gpuwatch_tray.settings.recipient import no_recipient
from gpuwatch_tray.settings.ways import settle

if TYPE_CHECKING:
    from collections.abc import Mapping

_BEFORE_SMTP = 2  # files: notify.env's FROM_EMAIL is the general one, smtp.env's is the server's
_STATE = "GPUWATCH_CACHE"


def load(
    environ: Mapping[str, str], where: paths.Places | None = None
) -> tuple[Settings, tuple[ConfigProblem, ...]]:
    """
    The settings, with the default for each key that is wrong, and what is wrong.

    Never raises for what files or variables hold. `where` is the real places unless a test says others.
    """
    where = where or paths.places()
    files = paths.find_all(environ, where)
    reading = Reading(files, environ, where.home)
    method, smtp, (credentials, token) = settle(reading, reading.value(keys.NOTIFY_METHOD))
    state = environ.get(_STATE, "")
    to_email = reading.value(keys.TO_EMAIL)
    settings = Settings(
        config=files[0].path,
        state=paths.absolute(state, environ, where) if state else where.state,
        log=None if state else where.log,
        to_email=to_email,
        no_recipient="" if to_email else no_recipient(reading),
        limits=Limits(
            gpu_limit=reading.value(thresholds.GPU_LIMIT),
            max_etime=thresholds.seconds(reading.value(thresholds.MAX_ETIME_MIN)),
            scope=reading.value(keys.PROCESS_SCOPE),
            ignore=reading.value(keys.IGNORE_PROCESSES),
            poll=reading.value(keys.POLL_SEC),
            heat=thresholds.heat(reading),
            faults=thresholds.faults(reading),
            use=thresholds.use(reading),
        ),
        cooldown=reading.value(keys.COOLDOWN_MIN) * 60,
        poll=reading.value(keys.POLL_SEC),
        notify_method=method,
        gmail_credentials=credentials,
        gmail_token=token,
        from_email=reading.value(keys.FROM_EMAIL, files=_BEFORE_SMTP),
        smtp=smtp,
        mygpu=environ.get("MYGPU", "").strip(),
        email_when=reading.value(keys.EMAIL_WHEN),
        away=reading.value(keys.AWAY_MIN) * 60,
        escalate=reading.value(keys.ESCALATE_MIN) * 60,
        tell_resolved=reading.value(keys.NOTIFY_RESOLVED),
        icon_style=reading.value(keys.ICON_STYLE),
        icon_badge=reading.value(keys.ICON_BADGE),
        wake_gpu=reading.value(keys.WAKE_GPU),
        energy_price=reading.value(keys.ENERGY_PRICE),
        threading=reading.value(keys.MAIL_THREADING),
        language=_language(reading.value(keys.UI_LANGUAGE), environ),
        warnings=tuple(reading.warnings),
    )
    problems = reading.sorted_problems()
    if not settings.state.is_absolute():
        text = _("not set, and this account has no home folder: name the folder for the state")
        problems = (ConfigProblem(_STATE, None, "", text), *problems)
    return settings, problems


def _language(asked: str, environ: Mapping[str, str]) -> str:
    return language.system_language(environ) if asked == checks.AUTO else asked
