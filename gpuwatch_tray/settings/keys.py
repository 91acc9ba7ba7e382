"""The table of keys; those of the rules are in `thresholds`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray.language import _
from gpuwatch_tray.model import EmailWhen, IconStyle, Scope
from gpuwatch_tray.settings import checks, measures
from gpuwatch_tray.settings.desktop import DESKTOP_PROGRAMS
from gpuwatch_tray.settings.key import NOTIFY, SMTP, WATCH, Key
from gpuwatch_tray.settings.kinds import NotifyMethod, Resolved, Secret, SmtpSecurity
from gpuwatch_tray.settings.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE_PATH = "/ABS/PATH/*"


TO_EMAIL: Key[tuple[str, ...]] = Key("TO_EMAIL", WATCH, checks.addresses, (), checks.EXAMPLE_ADDRESS)
COOLDOWN_MIN = Key("COOLDOWN_MIN", WATCH, checks.whole, 60)
POLL_SEC = Key("POLL_SEC", WATCH, checks.poll, 5.0)
PROCESS_SCOPE = Key("PROCESS_SCOPE", WATCH, checks.scope, Scope.MINE)
IGNORE_PROCESSES = Key("IGNORE_PROCESSES", WATCH, checks.programs, DESKTOP_PROGRAMS)
ICON_STYLE = Key("ICON_STYLE", WATCH, checks.icon_style, IconStyle.AUTO)
ICON_BADGE = Key("ICON_BADGE", WATCH, checks.switch, default=False)
WAKE_GPU = Key("WAKE_GPU", WATCH, checks.switch, default=False)
ENERGY_PRICE: Key[float | None] = Key("ENERGY_PRICE", WATCH, measures.or_off(measures.price), None)

NOTIFY_METHOD = Key("NOTIFY_METHOD", NOTIFY, checks.method, NotifyMethod.AUTO)
GMAIL_API_CREDENTIALS: Key[Path | None] = Key(
    "GMAIL_API_CREDENTIALS", NOTIFY, checks.path, None, EXAMPLE_PATH
)
GMAIL_API_TOKEN: Key[Path | None] = Key("GMAIL_API_TOKEN", NOTIFY, checks.path, None, EXAMPLE_PATH)
FROM_EMAIL = Key("FROM_EMAIL", NOTIFY, checks.address, "", checks.EXAMPLE_ADDRESS)

EMAIL_WHEN = Key("EMAIL_WHEN", NOTIFY, checks.email_when, EmailWhen.AWAY)
AWAY_MIN = Key("AWAY_MIN", NOTIFY, checks.whole, 5)
ESCALATE_MIN = Key("ESCALATE_MIN", NOTIFY, checks.whole, 10)
NOTIFY_RESOLVED = Key("NOTIFY_RESOLVED", NOTIFY, checks.resolved, frozenset({Resolved.EMAIL}))
MAIL_THREADING = Key("MAIL_THREADING", NOTIFY, checks.switch, default=False)
UI_LANGUAGE = Key("UI_LANGUAGE", NOTIFY, checks.language, "auto")

SMTP_HOST = Key("SMTP_HOST", SMTP, checks.host, "", "smtp.example.com")
SMTP_PORT = Key("SMTP_PORT", SMTP, checks.port, 587)
SMTP_USER = Key("SMTP_USER", SMTP, checks.user, "", "your_user")
SMTP_PASS = Key("SMTP_PASS", SMTP, checks.password, Secret(""), "your_pass")
SMTP_PASS_FILE: Key[Path | None] = Key("SMTP_PASS_FILE", SMTP, checks.path, None, EXAMPLE_PATH)
SMTP_SECURITY = Key("SMTP_SECURITY", SMTP, checks.security, SmtpSecurity.TLS)
SMTP_CA_FILE: Key[Path | None] = Key("SMTP_CA_FILE", SMTP, checks.path, None, EXAMPLE_PATH)

_ALL: tuple[Key[Any], ...] = (
    TO_EMAIL,
    COOLDOWN_MIN,
    POLL_SEC,
    PROCESS_SCOPE,
    IGNORE_PROCESSES,
    ICON_STYLE,
    ICON_BADGE,
    WAKE_GPU,
    ENERGY_PRICE,
    *THRESHOLDS,
    NOTIFY_METHOD,
    GMAIL_API_CREDENTIALS,
    GMAIL_API_TOKEN,
    FROM_EMAIL,
    EMAIL_WHEN,
    AWAY_MIN,
    ESCALATE_MIN,
    NOTIFY_RESOLVED,
    MAIL_THREADING,
    UI_LANGUAGE,
    SMTP_HOST,
    SMTP_PORT,
    SMTP_USER,
    SMTP_PASS,
    SMTP_PASS_FILE,
    SMTP_SECURITY,
    SMTP_CA_FILE,
)
KEYS: dict[str, Key[Any]] = {key.name: key for key in _ALL}
# Variables of the environment that people look for among the keys.
_ENVIRONMENT = frozenset({"MYGPU", "PATH", "LD_LIBRARY_PATH", "LANG", "LANGUAGE", "TZ", "HOME", "USER"})


def unknown(name: str) -> str:
    """What to say of a name that is no key."""
    if name in _ENVIRONMENT or name.startswith(("GPUWATCH_", "LC_", "CUDA_")):
        return _("not a key but a variable of the environment: set it where gpuwatch-tray is started from")
    import difflib  # a tray whose settings are right never needs it

    near = difflib.get_close_matches(name.upper(), KEYS, n=1, cutoff=0.7)
    if near:
        return _("unknown key: is {name} meant?").format(name=near[0])
    return _("unknown key, and no later line uses it: take it out (config/*.env.example lists the keys)")
