"""The settings as values, as the rest of the program gets them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from gpuwatch_tray.i18n import ENGLISH
from gpuwatch_tray.model import EmailWhen, IconStyle, Limits, schema

if TYPE_CHECKING:
    from pathlib import Path


class Secret:
    """A password that no repr, log line or traceback shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the password itself."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class NotifyMethod(Enum):
    """By which way the mail goes (NOTIFY_METHOD)."""

    GMAIL_API = "gmail_api"
    SMTP = "smtp"
    AUTO = "auto"


class SmtpSecurity(Enum):
    """How the connection to the mail server is kept from others (SMTP_SECURITY)."""

    TLS = "tls"  # by STARTTLS, on port 465 from the start; and a login
    SSL = "ssl"  # TLS from the start on any port; and a login
    NONE = "none"  # plain text and no login, to a relay on this very computer


class ResolvedChannel(Enum):
    """By which ways the end of an alert is told (NOTIFY_RESOLVED)."""

    EMAIL = "email"
    POPUP = "popup"


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """
    A mail server and the account on it. `ca_file` holds certificates of one's own authority.

    Without a `password` it is in `password_file`, and without that in the system's keyring. There is none
    where `security` is NONE, and `user` may be empty then.
    """

    host: str
    port: int
    user: str
    password: Secret
    from_email: str
    ca_file: Path | None = None
    security: SmtpSecurity = SmtpSecurity.TLS
    password_file: Path | None = None


_METHOD = NotifyMethod(schema.NOTIFY_METHOD.default)
_EMAIL_WHEN = EmailWhen(schema.EMAIL_WHEN.default)
_RESOLVED = frozenset({ResolvedChannel(schema.NOTIFY_RESOLVED.default)})
_ICON_STYLE = IconStyle(schema.ICON_STYLE.default)


@dataclass(frozen=True, slots=True)
class Settings:
    """
    Everything that the files and variables say, checked.

    `config` is the gpu-watch.env that was read, or its place; `state` is the folder of the state, `log` that
    of the logs (None: in the state's). Times are in seconds. `warnings` are lines for the user.
    `no_recipient` is the line that says why `to_email` is empty, if it is.
    """

    config: Path
    state: Path
    log: Path | None = None
    to_email: tuple[str, ...] = ()
    no_recipient: str = ""
    limits: Limits = field(default_factory=Limits)
    cooldown: int = schema.COOLDOWN_MIN.base
    poll: float = schema.POLL_SEC.base
    notify_method: NotifyMethod = _METHOD
    gmail_credentials: Path | None = None
    gmail_token: Path | None = None
    from_email: str = ""
    smtp: SmtpSettings | None = None
    mygpu: str = ""
    email_when: EmailWhen = _EMAIL_WHEN
    away: int = schema.AWAY_MIN.base
    escalate: int = schema.ESCALATE_MIN.base
    tell_resolved: frozenset[ResolvedChannel] = _RESOLVED
    icon_style: IconStyle = _ICON_STYLE
    icon_badge: bool = schema.ICON_BADGE.base
    wake_gpu: bool = schema.WAKE_GPU.base  # whether a GPU that the system has suspended is asked all the same
    energy_price: float | None = schema.ENERGY_PRICE.base  # of a kWh
    threading: bool = schema.MAIL_THREADING.base  # one subject for all mails about an incident
    language: str = ENGLISH  # one of language.LANGUAGES
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing to mend: in which file (or variable), on which line, of which key."""

    path: str
    line: int | None
    key: str
    text: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return ": ".join(filter(None, (place, self.key, self.text)))
