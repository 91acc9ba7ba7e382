"""The settings as values, as the rest of the program gets them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct, field

from gpuwatch_tray.alerts import ChatRoute, RoutingPolicy
from gpuwatch_tray.i18n import ENGLISH
from gpuwatch_tray.model import ExportSettings, IconStyle, Limits, schema

if TYPE_CHECKING:
    from pathlib import Path


class Secret(Struct, frozen=True):
    """A password that no repr, log line or traceback shows."""

    _text: str

    def reveal(self) -> str:
        """Return the password itself."""
        return self._text

    def __repr__(self) -> str:
        return "***"


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
    CHAT = "chat"


class SmtpSettings(Struct, frozen=True):
    """A mail server and the account on it."""

    host: str
    port: int
    user: str  # may be empty where `security` is NONE
    password: Secret  # where empty, in `password_file`, else in the keyring; none with NONE
    from_email: str
    ca_file: Path | None = None  # certificates of one's own authority
    security: SmtpSecurity = SmtpSecurity.TLS
    password_file: Path | None = None


class ChatAddress(Struct, frozen=True):
    """
    One chat or phone: what it is for, its service by its name for people, and its address.

    `place` is the service with its server masked, for people. Where `url` is empty, the address is in the
    keyring. `plain_text`: the person has asked for plain http. `line` is that of the file.
    """

    route: ChatRoute
    service: str
    place: str
    url: Secret
    plain_text: bool = False
    line: int = 0

    @property
    def name(self) -> str:
        """The name that commands and the outbox know it by."""
        return self.route.name


class LabLogin(Enum):
    """How one logs in to the lab's Prometheus and Alertmanager (LAB_AUTH)."""

    NONE = "none"
    BASIC = "basic"
    BEARER = "bearer"


class LabAlerts(Enum):
    """Which alerts of the lab are told (LAB_ALERTS)."""

    MINE = "mine"
    ALL = "all"


class LabSettings(Struct, frozen=True):
    """Where the lab is known, and who one is there. Times are in seconds."""

    hosts: tuple[str, ...] = ()  # asked by ssh
    ssh: tuple[str, ...] = ("ssh",)  # the command and its options
    ssh_list: str = ""  # the command that prints the list there; empty: gpuwatch-tray ps --all --json
    prometheus: tuple[str, ...] = ()  # addresses of replicas
    alertmanager: tuple[str, ...] = ()
    grafana: str = ""  # a link to offer
    job: str = "gpuwatch"  # of the scrape configuration
    me: str = ""  # the user's name there
    login: LabLogin = LabLogin.NONE
    user: str = ""
    password_file: Path | None = None  # of the password or the token
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    proxy: str = ""  # empty for none, whatever the environment says
    pins: tuple[str, ...] = ()  # hosts that must be OK for a green icon, besides those of one's runs
    alerts: LabAlerts = LabAlerts.MINE
    gpu_limit: int | None = None  # over all hosts
    poll: float = 15.0
    silence: bool = False  # whether "silence for everyone" is offered
    looks_free: bool = False  # whether idle GPUs count as free where nobody tells the processes

    @property
    def configured(self) -> bool:
        """Whether there is a lab at all."""
        return bool(self.hosts or self.prometheus)

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """The pages of the lab that may be offered, each with a title; no other address is ever opened."""
        pages = (("Prometheus", next(iter(self.prometheus), "")), ("Grafana", self.grafana))
        return tuple((title, address) for title, address in pages if address)


_METHOD = NotifyMethod(schema.NOTIFY_METHOD.default)
_RESOLVED = frozenset(map(ResolvedChannel, schema.NOTIFY_RESOLVED.default.split(", ")))
_ICON_STYLE = IconStyle(schema.ICON_STYLE.default)


class Settings(Struct, frozen=True):
    """Everything that the files and variables say, checked. Times are in seconds."""

    config: Path  # the gpu-watch.env that was read, or its place
    state: Path  # the folder of the state
    log: Path | None = None  # the folder of the logs; None: the state's
    to_email: tuple[str, ...] = ()
    no_recipient: str = ""  # the line that says why `to_email` is empty
    limits: Limits = field(default_factory=Limits)
    routing: RoutingPolicy = field(default_factory=RoutingPolicy)
    poll: float = schema.POLL_SEC.default_value
    notify_method: NotifyMethod = _METHOD
    gmail_credentials: Path | None = None
    gmail_token: Path | None = None
    from_email: str = ""
    smtp: SmtpSettings | None = None
    chats: tuple[ChatAddress, ...] = ()
    chats_file: Path | None = None  # NOTIFY_URLS_FILE
    mygpu: str = ""
    away: int = schema.AWAY_MIN.default_value
    tell_resolved: frozenset[ResolvedChannel] = _RESOLVED
    icon_style: IconStyle = _ICON_STYLE
    icon_badge: bool = schema.ICON_BADGE.default_value
    wake_gpu: bool = (
        schema.WAKE_GPU.default_value
    )  # whether a GPU that the system has suspended is asked all the same
    energy_price: float | None = schema.ENERGY_PRICE.default_value  # of a kWh
    threading: bool = schema.MAIL_THREADING.default_value  # one subject for all mails about an incident
    lab: LabSettings = field(default_factory=LabSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    language: str = ENGLISH  # one of i18n.LANGUAGES
    warnings: tuple[str, ...] = ()  # lines for the user


class ConfigProblem(Struct, frozen=True):
    """One thing to mend: in which file (or variable), on which line, of which key."""

    path: str
    line: int | None
    key: str
    text: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return ": ".join(filter(None, (place, self.key, self.text)))
