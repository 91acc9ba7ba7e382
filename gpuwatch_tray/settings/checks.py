"""
From the text of a setting to its value.

Each check raises ValueError with what was expected, what stands there and what mends it; the key is named by
the caller. Texts come without blanks around them.
"""

from __future__ import annotations

import ipaddress
import re
from decimal import Decimal
from pathlib import Path

from gpuwatch_tray import redact
from gpuwatch_tray.language import LANGUAGES, _
from gpuwatch_tray.model import EmailWhen, IconStyle, Scope
from gpuwatch_tray.settings.kinds import NotifyMethod, Resolved, Secret, SmtpSecurity
from gpuwatch_tray.units import HOUR

EXAMPLE_ADDRESS = "you@example.com"
AUTO = "auto"
LARGEST = 999_999_999
LEAST_POLL, MOST_POLL = Decimal("0.2"), Decimal(HOUR)  # seconds
_SHOWN = 60  # characters of a wrong value
DIGITS = re.compile(r"[0-9]+")
DECIMAL = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NOT_UTF8 = re.compile(r"[\ud800-\udfff]")
_TYPOGRAPHIC = ("\u201c", "\u201d", "\u201e", "\u2018", "\u2019", "\u201a")
_HOST = re.compile(r"[\w-]+(\.[\w-]+)*\.?")
# Nothing that makes an address two or a route. A leading hyphen would be an option to the mail programs.
_ADDRESS = re.compile(r"""(?!-)[^\s<>(),;:\\"\[\]@]+(@[^\s<>(),;:\\"\[\]@]+)?""")
_ACCOUNT = re.compile(r"(?<=:).+(?=@)", re.DOTALL)  # scheme://name:password@host, with @ in the password too
_SEPARATORS = re.compile(r"[,; \t\n]+")
_HIGHEST_PORT = 65535


def shown(text: str) -> str:
    """A value as an error shows it: without secrets, in quotes, on one line, cut when long."""
    text = _ACCOUNT.sub(redact.REDACTED, text)
    safe = redact.text(text)
    if safe != redact.visible(text):  # else as it stands: repr shows the odd characters better
        text = safe
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def whole(text: str) -> int:
    """A decimal number >= 0, as Bash's arithmetic would read it."""
    if not DIGITS.fullmatch(text):
        raise ValueError(_("expected a whole number >= 0, got {got}").format(got=shown(text)))
    if text[0] == "0" and text != "0":
        plain = text.lstrip("0") or "0"
        raise ValueError(
            _(
                "expected a whole number >= 0, got {got}: Bash takes a leading zero as octal, write {plain}"
            ).format(got=shown(text), plain=plain)
        )
    if len(text) > len(str(LARGEST)):
        raise ValueError(
            _("expected a whole number up to {most}, got {got}").format(most=LARGEST, got=shown(text))
        )
    return int(text)


def port(text: str) -> int:
    """A TCP port."""
    if (
        not DIGITS.fullmatch(text)
        or len(text) > len(str(_HIGHEST_PORT))
        or not 0 < int(text) <= _HIGHEST_PORT
    ):
        raise ValueError(
            _("expected a port from 1 to {most} (587 or 465), got {got}").format(
                most=_HIGHEST_PORT, got=shown(text)
            )
        )
    return int(text)


def poll(text: str) -> float:
    """Seconds between two polls."""
    span = _("expected seconds from {least} to {most}, got {got}").format(
        least=LEAST_POLL, most=MOST_POLL, got=shown(text)
    )
    if not DECIMAL.fullmatch(text):
        raise ValueError(_("{said}: a fraction takes a point").format(said=span) if "," in text else span)
    if not LEAST_POLL <= Decimal(text) <= MOST_POLL:
        raise ValueError(span)
    return float(text)


def scope(text: str) -> Scope:
    """Whose processes count."""
    try:
        return Scope(text.lower())
    except ValueError:
        raise ValueError(_("expected 'mine' or 'all', got {got}").format(got=shown(text))) from None


def method(text: str) -> NotifyMethod:
    """By which way mail goes."""
    try:
        return NotifyMethod(text.lower())
    except ValueError:
        raise ValueError(
            _("expected 'auto', 'smtp' or 'gmail_api', got {got}").format(got=shown(text))
        ) from None


def email_when(text: str) -> EmailWhen:
    """When an alert is mailed."""
    try:
        return EmailWhen(text.lower())
    except ValueError:
        raise ValueError(
            _("expected 'away', 'always' or 'never', got {got}").format(got=shown(text))
        ) from None


def icon_style(text: str) -> IconStyle:
    """How the icon is drawn."""
    try:
        return IconStyle(text.lower())
    except ValueError:
        raise ValueError(
            _("expected 'auto', 'light', 'dark' or 'color', got {got}").format(got=shown(text))
        ) from None


def language(text: str) -> str:
    """The language to speak, or AUTO for the system's."""
    names = {name.lower(): name for name in (AUTO, *LANGUAGES)}
    found = names.get(text.partition(".")[0].replace("-", "_").lower())
    if found is None:
        raise ValueError(
            _("expected {names}, got {got}").format(
                names=", ".join(map(repr, names.values())), got=shown(text)
            )
        )
    return found


def switch(text: str) -> bool:
    """Whether something is on."""
    if text.lower() in {"on", "yes", "true", "1"}:
        return True
    if text.lower() in {"off", "no", "false", "0"}:
        return False
    raise ValueError(_("expected 'on' or 'off', got {got}").format(got=shown(text)))


def resolved(text: str) -> frozenset[Resolved]:
    """By which ways the end of an alert is told."""
    if text.lower() == "off":
        return frozenset()
    try:
        return frozenset(Resolved(part) for part in text.lower().replace(",", " ").split())
    except ValueError:
        raise ValueError(
            _("expected 'email', 'popup', both with a comma, or 'off', got {got}").format(got=shown(text))
        ) from None


def programs(text: str) -> frozenset[str]:
    """
    Names of programs, in lower case; `none` alone for no program.

    Blanks separate them, or where there is a comma, commas alone: Windows has names with blanks.
    """
    names = [" ".join(part.split()) for part in (text.split(",") if "," in text else text.split())]
    for name in names:
        _printable(name)
        if "/" in name or "\\" in name:
            raise ValueError(
                _("expected names of programs without their folders, got {got}").format(got=shown(name))
            )
        if " " in name and not name.lower().endswith(".exe"):
            raise ValueError(
                _("expected names of programs, got {got}: put a comma between any two").format(
                    got=shown(name)
                )
            )
    found = frozenset(name.lower() for name in names if name)
    return frozenset() if found == {"none"} else found


def address(text: str) -> str:
    """One mail address, or the name of an account of this machine."""
    _printable(text)
    if not _ADDRESS.fullmatch(text) or ("@" not in text and ("." in text or "=" in text)):
        raise ValueError(
            _("expected a mail address like name@example.org, got {got}").format(got=shown(text))
        )
    return text


def addresses(text: str) -> tuple[str, ...]:
    """Mail addresses separated by commas, semicolons or blanks, each once; the example's is none."""
    found = dict.fromkeys(part for part in _SEPARATORS.split(text) if part)
    return tuple(address(part) for part in found if part != EXAMPLE_ADDRESS)


def path(text: str) -> Path:
    """
    An absolute path.

    One from the current folder is none: cron starts anywhere. A name that is not UTF-8 stays as it is.
    """
    if _CONTROL.search(text):
        raise ValueError(_("expected the path of a file, got {got}").format(got=shown(text)))
    found = Path(text)
    if found.is_absolute():
        return found
    mend = (
        _("a ~ within quotes stays a ~, write $HOME")
        if text.startswith("~")
        else _("write it from the root on")
    )
    raise ValueError(_("expected an absolute path, got {got}: {mend}").format(got=shown(text), mend=mend))


def host(text: str) -> str:
    """The name or address of a mail server."""
    if _HOST.fullmatch(text) and not _NOT_UTF8.search(text):
        return text
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueError(
            _("expected the bare name of a server, got {got}: a port goes into SMTP_PORT").format(
                got=shown(text)
            )
        ) from None


def is_loopback(host: str) -> bool:
    """Whether this name or address is this very computer."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().removesuffix(".") == "localhost"


def security(text: str) -> SmtpSecurity:
    """How the connection to the mail server is kept from others."""
    try:
        return SmtpSecurity(text.lower())
    except ValueError:
        raise ValueError(_("expected 'tls' or 'none', got {got}").format(got=shown(text))) from None


def user(text: str) -> str:
    """The name of an account."""
    return _printable(text)


def password(text: str) -> Secret:
    """A password without its blanks, as the Bash tool took it; errors do not show it."""
    plain = "".join(text.split())
    if _CONTROL.search(plain):
        raise ValueError(_("holds a control character: write the password anew"))
    if _NOT_UTF8.search(plain):
        raise ValueError(_("is not UTF-8: save the file as UTF-8"))
    return Secret(plain)


def _printable(text: str) -> str:
    if _NOT_UTF8.search(text):
        raise ValueError(_("got {got}, which is not UTF-8: save the file as UTF-8").format(got=shown(text)))
    if _CONTROL.search(text):
        raise ValueError(
            _("got {got}, which holds a control character: write it anew").format(got=shown(text))
        )
    if text.startswith(_TYPOGRAPHIC):
        raise ValueError(_("got {got}: Bash knows only the plain quotes \" and '").format(got=shown(text)))
    return text
