"""
Checks that turn the text of a setting, without blanks around it, into its value.

Each raises ValueError with what it expected, what it got and how to correct it; the caller names the key.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.common.secret_names import REDACTED
from gpuwatch_tray.i18n import LANGUAGES, N_, _
from gpuwatch_tray.model import Auto, EmailWhen, ExportUsers, IconStyle, ProcessScope
from gpuwatch_tray.model.schema import EXAMPLE_ADDRESS, LARGEST, ValueType
from gpuwatch_tray.settings.model import (
    LabAlerts,
    LabLogin,
    NotifyMethod,
    ResolvedChannel,
    Secret,
    SmtpSecurity,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import Enum

    from gpuwatch_tray.model.schema import Setting


AUTO = "auto"
_SHOWN = 60  # characters of a wrong value
_DIGITS = late_pattern(r"[0-9]+")
_DECIMAL = late_pattern(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
_CONTROL = late_pattern(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NOT_UTF8 = late_pattern(r"[\ud800-\udfff]")
_TYPOGRAPHIC = ("\u201c", "\u201d", "\u201e", "\u2018", "\u2019", "\u201a")
# What ssh takes for a machine, an alias of its configuration too. A leading hyphen would be an option to it.
_MACHINE = late_pattern(r"(?!-)([\w.+-]+@)?(?!-)[\w.:-]+")
_LABEL = late_pattern(r"[\w.:/-]+")
_HOST = late_pattern(r"[\w-]+(\.[\w-]+)*\.?")
# Nothing that makes an address two or a route. A leading hyphen would be an option to the mail programs.
_ADDRESS = late_pattern(r"""(?!-)[^\s<>(),;:\\"\[\]@]+(@[^\s<>(),;:\\"\[\]@]+)?""")
_ACCOUNT = late_pattern(
    r"(?<=:).+(?=@)", re.DOTALL
)  # scheme://name:password@host, with @ in the password too
_SEPARATORS = late_pattern(r"[,; \t\n]+")


def quote_value(text: str) -> str:
    """Return a value as an error shows it: without secrets, in quotes, on one line, cut when long."""
    text = _ACCOUNT.sub(REDACTED, text)
    safe = redact.text(text)
    if safe != redact.visible(text):  # else as it stands: repr shows the odd characters better
        text = safe
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def parse(setting: Setting, text: str) -> Any:
    """Return the value of a setting in base units, '' for the one that stands for none; raises ValueError."""
    if not text:
        return _EMPTY[setting.type]
    if setting.off and text.lower() == "off":
        return frozenset() if setting.type is ValueType.CHOICES else None
    if setting.auto:
        if text.lower() == Auto.AUTO.value:
            return Auto.AUTO
        try:
            return _PARSERS[setting.type](setting, text)
        except ValueError as error:
            raise ValueError(_("{said} (or auto)").format(said=error)) from None
    return _PARSERS[setting.type](setting, text)


def _plain_number(text: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise ValueError(_("expected a whole number >= 0, got {got}").format(got=quote_value(text)))
    if text[0] == "0" and text != "0":
        plain = text.lstrip("0") or "0"
        raise ValueError(
            _(
                "expected a whole number >= 0, got {got}: Bash takes a leading zero as octal, write {plain}"
            ).format(got=quote_value(text), plain=plain)
        )
    if len(text) > len(str(LARGEST)):
        raise ValueError(
            _("expected a whole number up to {most}, got {got}").format(most=LARGEST, got=quote_value(text))
        )
    return int(text)


def _whole(setting: Setting, text: str) -> Any:
    number = _plain_number(text)
    least, most = setting.bounds
    return setting.unit.to_base(number) if least <= number <= most else _bounded(setting, text)


def _bounded(setting: Setting, text: str) -> Any:
    what = {
        ValueType.WHOLE: _("a whole number"),
        ValueType.COUNT: _("a whole number"),
        ValueType.PERCENT: _("a percentage"),
        ValueType.DEGREES: _("degrees C"),
    }[setting.type]
    least, most = setting.bounds
    value = _plain_number(text) if _DIGITS.fullmatch(text) else -1
    if not least <= value <= most:
        raise ValueError(
            _("expected {what} from {least} to {most}, got {got}").format(
                what=what, least=least, most=most, got=quote_value(text)
            )
        )
    return setting.unit.to_base(value)


def _decimal(setting: Setting, text: str) -> Any:
    least, most = setting.bounds
    is_decimal = _DECIMAL.fullmatch(text) is not None
    if is_decimal and least <= Decimal(text) <= most:
        return setting.unit.to_base(Decimal(text))
    expected = {
        ValueType.DECIMAL: _("expected seconds from {least} to {most}, got {got}"),
        ValueType.SIZE: _("expected GiB from 0 to {most}, got {got}"),
        ValueType.PRICE: _("expected a price such as 0.30, got {got}"),
    }[setting.type].format(least=least, most=most, got=quote_value(text))
    if not is_decimal and "," in text:
        expected = _("{said}: use a point for decimals").format(said=expected)
    raise ValueError(expected)


def _port(setting: Setting, text: str) -> int:
    least, most = setting.bounds
    if not _DIGITS.fullmatch(text) or len(text) > len(str(most)) or not least <= int(text) <= most:
        raise ValueError(
            _("expected a port from 1 to {most} (587 or 465), got {got}").format(
                most=most, got=quote_value(text)
            )
        )
    return int(text)


_CHOICES: dict[str, tuple[type[Enum], str]] = {
    "PROCESS_SCOPE": (ProcessScope, N_("expected 'mine' or 'all', got {got}")),
    "NOTIFY_METHOD": (NotifyMethod, N_("expected 'auto', 'smtp' or 'gmail_api', got {got}")),
    "EMAIL_WHEN": (EmailWhen, N_("expected 'away', 'always' or 'never', got {got}")),
    "CHAT_WHEN": (EmailWhen, N_("expected 'away', 'always' or 'never', got {got}")),
    "ICON_STYLE": (IconStyle, N_("expected 'auto', 'light', 'dark' or 'color', got {got}")),
    "SMTP_SECURITY": (SmtpSecurity, N_("expected 'tls', 'ssl' or 'none', got {got}")),
    "LAB_AUTH": (LabLogin, N_("expected 'none', 'basic' or 'bearer', got {got}")),
    "LAB_ALERTS": (LabAlerts, N_("expected 'mine' or 'all', got {got}")),
    "EXPORT_USERS": (ExportUsers, N_("expected 'names', 'hashed' or 'none', got {got}")),
    "NOTIFY_RESOLVED": (
        ResolvedChannel,
        N_("expected some of 'email', 'popup' and 'chat', with commas, or 'off', got {got}"),
    ),
}


def _choice(setting: Setting, text: str) -> Enum | frozenset[Enum]:
    choices, expected = _CHOICES[setting.key]
    try:
        if setting.type is ValueType.CHOICE:
            return choices(text.lower())
        return frozenset(choices(part) for part in text.lower().replace(",", " ").split())
    except ValueError:
        raise ValueError(_(expected).format(got=quote_value(text))) from None


def _language(_setting: Setting, text: str) -> str:
    """Parse a language, or AUTO for the system's."""
    names = {name.lower(): name for name in (AUTO, *LANGUAGES)}
    found = names.get(text.partition(".")[0].replace("-", "_").lower())
    if found is None:
        raise ValueError(
            _("expected {names}, got {got}").format(
                names=", ".join(map(repr, names.values())), got=quote_value(text)
            )
        )
    return found


def _switch(_setting: Setting, text: str) -> bool:
    if text.lower() in {"on", "yes", "true", "1"}:
        return True
    if text.lower() in {"off", "no", "false", "0"}:
        return False
    raise ValueError(_("expected 'on' or 'off', got {got}").format(got=quote_value(text)))


def _programs(_setting: Setting, text: str) -> frozenset[str]:
    """Parse names of programs, with commas between those that hold blanks; `none` alone is no program."""
    names = [" ".join(part.split()) for part in (text.split(",") if "," in text else text.split())]
    for name in names:
        _printable(name)
        if "/" in name or "\\" in name:
            raise ValueError(
                _("expected names of programs without their folders, got {got}").format(got=quote_value(name))
            )
        if " " in name and not name.lower().endswith(".exe"):
            raise ValueError(
                _("expected names of programs, got {got}: separate them with commas").format(
                    got=quote_value(name)
                )
            )
    found = frozenset(name.lower() for name in names if name)
    return frozenset() if found == {"none"} else found


def _address(_setting: Setting, text: str) -> str:
    _printable(text)
    if not _ADDRESS.fullmatch(text) or ("@" not in text and ("." in text or "=" in text)):
        raise ValueError(
            _("expected an email address like name@example.org, got {got}").format(got=quote_value(text))
        )
    return text


def _addresses(setting: Setting, text: str) -> tuple[str, ...]:
    """Parse mail addresses separated by commas, semicolons or blanks; the example's is left out."""
    found = dict.fromkeys(part for part in _SEPARATORS.split(text) if part)
    return tuple(_address(setting, part) for part in found if part != EXAMPLE_ADDRESS)


def _path(_setting: Setting, text: str) -> Path:
    """Parse an absolute path; a relative one is refused, as cron starts anywhere. It may be no UTF-8."""
    if _CONTROL.search(text):
        raise ValueError(_("expected the path of a file, got {got}").format(got=quote_value(text)))
    found = Path(text)
    if found.is_absolute():
        return found
    mend = (
        _("a ~ in quotes is not expanded, write $HOME") if text.startswith("~") else _("write the full path")
    )
    raise ValueError(
        _("expected an absolute path, got {got}: {mend}").format(got=quote_value(text), mend=mend)
    )


def _host(_setting: Setting, text: str) -> str:
    if _HOST.fullmatch(text) and not _NOT_UTF8.search(text):
        return text
    try:
        import ipaddress

        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueError(
            _("expected the bare name of a server, got {got}: a port goes into SMTP_PORT").format(
                got=quote_value(text)
            )
        ) from None


def _machines(_setting: Setting, text: str) -> tuple[str, ...]:
    """Parse names of machines separated by blanks or commas; one that stands twice counts once."""
    found = dict.fromkeys(part for part in _SEPARATORS.split(text) if part)
    for name in found:
        _printable(name)
        if not _MACHINE.fullmatch(name):
            raise ValueError(
                _("expected names of machines that ssh takes, got {got}").format(got=quote_value(name))
            )
    return tuple(found)


def _url(_setting: Setting, text: str) -> str:
    """Parse the address of a server without its last slash. A password in it would be shown with it."""
    _printable(text)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or re.search(r"\s", text):
        raise ValueError(
            _("expected an address such as https://prometheus.example.org, got {got}").format(
                got=quote_value(text)
            )
        )
    if "@" in parts.netloc:
        raise ValueError(_("holds a password: take it out of the address and use LAB_AUTH and LAB_PASS_FILE"))
    if parts.query or parts.fragment:
        raise ValueError(_("expected an address without ? and #, got {got}").format(got=quote_value(text)))
    return text.rstrip("/")


def _urls(setting: Setting, text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_url(setting, part) for part in _SEPARATORS.split(text) if part))


def _program(_setting: Setting, text: str) -> tuple[str, ...]:
    """Parse a program and its options, in words as a shell would have them."""
    import shlex

    try:
        words = tuple(shlex.split(_printable(text)))
    except ValueError:
        raise ValueError(
            _("expected a program and its options, got {got}: a quote is never closed").format(
                got=quote_value(text)
            )
        ) from None
    if not any(words[:1]):
        raise ValueError(_("expected a program and its options, got {got}").format(got=quote_value(text)))
    return words


def _label(_setting: Setting, text: str) -> str:
    if not _LABEL.fullmatch(_printable(text)):
        raise ValueError(
            _("expected a name of letters, digits and . _ : / -, got {got}").format(got=quote_value(text))
        )
    return text


def is_loopback(host: str) -> bool:
    """Tell whether this name or address is this very computer."""
    try:
        import ipaddress

        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().removesuffix(".") == "localhost"


def password(text: str) -> Secret:
    """Return a password without its blanks, as the Bash tool took it; errors do not show it."""
    plain = "".join(text.split())
    if _CONTROL.search(plain):
        raise ValueError(_("contains a control character: write the password again"))
    if _NOT_UTF8.search(plain):
        raise ValueError(_("is not UTF-8: save the file as UTF-8"))
    return Secret(plain)


def secret(text: str) -> Secret:
    """Return a password or a token with the blanks that are in it, as other servers than mail's take it."""
    plain = text.strip()
    if _CONTROL.search(plain):
        raise ValueError(_("contains a control character: write the password again"))
    return Secret(plain)


def odd_characters(secret: Secret) -> str:
    """Name the kinds of characters that nobody types into a password; empty if there are none."""
    text = secret.reveal()
    kinds = [_("typographic quotes")] if any(sign in text for sign in _TYPOGRAPHIC) else []
    if any(unicodedata.category(character) == "Cf" for character in text):
        kinds.append(_("invisible characters"))
    return _(" and ").join(kinds)


def _printable(text: str) -> str:
    if text.isprintable() and not text.startswith(_TYPOGRAPHIC):  # as nearly all: no pattern to compile
        return text
    if _NOT_UTF8.search(text):
        raise ValueError(
            _("got {got}, which is not UTF-8: save the file as UTF-8").format(got=quote_value(text))
        )
    if _CONTROL.search(text):
        raise ValueError(
            _("got {got}, which contains a control character: write it again").format(got=quote_value(text))
        )
    if text.startswith(_TYPOGRAPHIC):
        raise ValueError(
            _("got {got}: Bash knows only the plain quotes \" and '").format(got=quote_value(text))
        )
    return text


_PARSERS: dict[ValueType, Callable[[Setting, str], Any]] = {
    ValueType.WHOLE: _whole,
    ValueType.COUNT: _bounded,
    ValueType.PERCENT: _bounded,
    ValueType.DEGREES: _bounded,
    ValueType.DECIMAL: _decimal,
    ValueType.SIZE: _decimal,
    ValueType.PRICE: _decimal,
    ValueType.PORT: _port,
    ValueType.SWITCH: _switch,
    ValueType.CHOICE: _choice,
    ValueType.CHOICES: _choice,
    ValueType.LANGUAGE: _language,
    ValueType.PROGRAMS: _programs,
    ValueType.ADDRESS: _address,
    ValueType.ADDRESSES: _addresses,
    ValueType.PATH: _path,
    ValueType.HOST: _host,
    ValueType.ACCOUNT: lambda _setting, text: _printable(text),
    ValueType.PASSWORD: lambda _setting, text: password(text),
    ValueType.NAME: _label,
    ValueType.HOSTS: _machines,
    ValueType.URL: _url,
    ValueType.URLS: _urls,
    ValueType.PROGRAM: _program,
    ValueType.COMMAND: lambda _setting, text: _printable(text),
}
_EMPTY: dict[ValueType, Any] = {
    ValueType.ADDRESS: "",
    ValueType.ADDRESSES: (),
    ValueType.PATH: None,
    ValueType.HOST: "",
    ValueType.ACCOUNT: "",
    ValueType.PASSWORD: Secret(""),
    ValueType.HOSTS: (),
    ValueType.URL: "",
    ValueType.URLS: (),
    ValueType.COMMAND: "",
}
