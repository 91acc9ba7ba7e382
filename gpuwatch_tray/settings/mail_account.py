"""
The mail account: which transport to use, SMTP or Gmail, and what is missing of it.

`auto` takes one that is set up. One that was begun and is wrong is taken all the same: its mail waits, rather
than that it leaves by a way nobody asked for.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gpuwatch_tray.common import host
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import schema
from gpuwatch_tray.settings import paths
from gpuwatch_tray.settings.model import NotifyMethod, SmtpSecurity, SmtpSettings
from gpuwatch_tray.settings.validators import is_loopback, odd_characters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model.schema import Setting
    from gpuwatch_tray.settings.reader import SettingsReader


_NOTIFY_FILE, _SMTP_FILE = 1, 2  # places in the order of the files
_SMTP_KEYS = (schema.SMTP_HOST, schema.SMTP_USER, schema.SMTP_PASS, schema.SMTP_PASS_FILE)
_USUAL_PORTS = {SmtpSecurity.NONE: 25, SmtpSecurity.SSL: 465}  # without SMTP_PORT
_GMAIL_NEEDS = (schema.GMAIL_API_CREDENTIALS, schema.GMAIL_API_TOKEN)
_NO_SENDER = N_("FROM_EMAIL is not set and SMTP_USER is not an address: many servers refuse such mail")
_NO_LOGIN = N_("SMTP_SECURITY=none sends without a login: SMTP_USER and the password are not used")
_NOT_HERE = N_(
    "none is only for a server on this computer, such as SMTP_HOST=localhost: remove it"
    " to send encrypted and with a login"
)

USERS_TIMEOUT = 2.0  # seconds

GmailPaths: TypeAlias = tuple[Path | None, Path | None]


def choose_transport(
    reader: SettingsReader, asked: NotifyMethod
) -> tuple[NotifyMethod, SmtpSettings | None, GmailPaths]:
    """Return the transport, the server if there is one, and Gmail's credentials and token."""
    security = reader.value(schema.SMTP_SECURITY)
    smtp_tried = _is_begun(reader, _SMTP_KEYS) or _SMTP_FILE in reader.unread
    smtp_tried = smtp_tried or security is not SmtpSecurity.TLS
    if asked is NotifyMethod.SMTP or (asked is NotifyMethod.AUTO and smtp_tried):
        _require(reader, _smtp_needs(reader, security), _SMTP_FILE, asked)
    smtp = _smtp(reader, security)
    if smtp is not None and asked is not NotifyMethod.GMAIL_API:
        reader.warnings += _smtp_warnings(reader, smtp)
        warn_of_exposed(reader, schema.SMTP_PASS_FILE, smtp.password_file)
    gmail_tried = _is_begun(reader, _GMAIL_NEEDS)
    if asked is NotifyMethod.GMAIL_API or (asked is NotifyMethod.AUTO and gmail_tried and not smtp_tried):
        _require(reader, _GMAIL_NEEDS, _NOTIFY_FILE, asked)
    gmail = (reader.value(schema.GMAIL_API_CREDENTIALS), reader.value(schema.GMAIL_API_TOKEN))
    warn_of_exposed(reader, schema.GMAIL_API_CREDENTIALS, gmail[0])
    method = asked
    if asked is NotifyMethod.AUTO and smtp is None and smtp_tried:
        method = NotifyMethod.SMTP
    elif asked is NotifyMethod.AUTO and smtp is None and gmail_tried and None in gmail:
        method = NotifyMethod.GMAIL_API
    return method, smtp, gmail


def question_recipients(reader: SettingsReader) -> None:
    """Warn of each recipient that is no user of this computer and has no domain with a dot."""
    given = reader.given(schema.TO_EMAIL)
    if given is None:
        return
    for address in reader.value(schema.TO_EMAIL):
        _local, at, domain = address.rpartition("@")
        if at and ("." in domain or domain.lower() in ("localhost", host.host().lower())):
            continue
        text = _("{place}: {address}: is the name after the @ complete? Most have a dot")
        if not at:
            if is_local_user(domain):
                continue
            text = _("{place}: {address}: this is neither an address nor a user of this computer")
        reader.warnings.append(text.format(place=reader.place(given, schema.TO_EMAIL), address=address))


def is_local_user(name: str) -> bool:
    """Return whether this is a user or a mail alias of this computer; True where that cannot be told."""
    if sys.platform != "win32":
        import pwd

        from gpuwatch_tray.common.threads import call_with_timeout

        try:
            # The list of users may lie on the network.
            call_with_timeout(USERS_TIMEOUT, lambda: pwd.getpwnam(name), "users")
        except KeyError:
            with suppress(OSError):
                return f"\n{name}:" in f"\n{Path('/etc/aliases').read_text('utf-8', 'replace')}"
            return False
        except TimeoutError:
            return True
    return True


def _is_begun(reader: SettingsReader, needs: Sequence[Setting]) -> bool:
    return any(reader.given(setting) is not None or setting.key in reader.broken for setting in needs)


def _require(reader: SettingsReader, needs: Sequence[Setting], file: int, asked: NotifyMethod) -> None:
    """Note a problem for each key that is not set, unless its file or its line cannot be read at all."""
    if file in reader.unread:
        return
    begun = [setting.key for setting in needs if _is_begun(reader, [setting])]
    for setting in needs:
        if setting.key in begun:
            continue
        untouched = reader.placeholders.get(setting.key)
        text = _missing(asked, next(iter(begun), ""), example=untouched is not None)
        if untouched is None:
            reader.problem(file, None, setting.key, text)
        else:
            reader.problem(untouched.file, untouched.line, setting.key, text)


def _missing(asked: NotifyMethod, begun: str, *, example: bool) -> str:
    """Say that a key is not set, or left as the `example` has it, though `begun` is set."""
    if asked is NotifyMethod.AUTO:
        text = _("not set, but {other} is: set all of them or none")
        if example:
            text = _("still the example value, but {other} is: set all of them or none")
        return text.format(other=begun or _("another of its keys"))
    text = _("not set, but {way} needs it: set it, or use NOTIFY_METHOD=auto")
    if example:
        text = _("still the example value, but {way} needs it: set it, or use NOTIFY_METHOD=auto")
    return text.format(way=f"NOTIFY_METHOD={asked.value}")


def _smtp_needs(reader: SettingsReader, security: SmtpSecurity) -> tuple[Setting, ...]:
    """
    Return the keys that this server needs.

    Where no line has a password the system's keyring is asked; one that was left as the example has it was
    forgotten, and where the account is not named either, so was the password.
    """
    if security is SmtpSecurity.NONE:
        return (schema.SMTP_HOST,)
    account = (schema.SMTP_HOST, schema.SMTP_USER)
    complete = all(_is_begun(reader, [setting]) for setting in account)
    elsewhere = _is_begun(reader, [schema.SMTP_PASS_FILE]) or (
        complete and reader.last(schema.SMTP_PASS) is None
    )
    return account if elsewhere else (*account, schema.SMTP_PASS)


def _smtp_warnings(reader: SettingsReader, smtp: SmtpSettings) -> list[str]:
    if smtp.security is SmtpSecurity.NONE:
        return [_(_NO_LOGIN)] if smtp.password.reveal() or smtp.password_file is not None else []
    no_sender = "@" not in smtp.user and reader.given(schema.FROM_EMAIL) is None
    warnings = [_(_NO_SENDER)] if no_sender else []
    given, odd = reader.given(schema.SMTP_PASS), odd_characters(smtp.password)
    if given is not None and odd:
        text = _("{place}: contains {what}: type it by hand, in plain single quotes")
        warnings.append(text.format(place=reader.place(given, schema.SMTP_PASS), what=odd))
    return warnings


def warn_of_exposed(reader: SettingsReader, setting: Setting, file: Path | None) -> None:
    """Warn of a file that holds a secret and that others than its owner can read."""
    if file is not None and paths.exposed(file):
        reader.warnings.append(paths.exposed_warning(setting.key, file))


def _smtp(reader: SettingsReader, security: SmtpSecurity) -> SmtpSettings | None:
    before = len(reader.problems)
    server = reader.value(schema.SMTP_HOST)
    given = reader.given(schema.SMTP_SECURITY)
    if security is SmtpSecurity.NONE and server and not is_loopback(server) and given is not None:
        reader.problem(given.file, given.line, schema.SMTP_SECURITY.key, _(_NOT_HERE))
    port = reader.value(schema.SMTP_PORT)
    if reader.given(schema.SMTP_PORT) is None:
        port = _USUAL_PORTS.get(security, port)
    user = reader.value(schema.SMTP_USER)
    password = reader.value(schema.SMTP_PASS)
    password_file = reader.value(schema.SMTP_PASS_FILE)
    ca_file = reader.value(schema.SMTP_CA_FILE)
    wrong = len(reader.problems) > before or _SMTP_FILE in reader.unread
    broken = not reader.broken.isdisjoint(name for name in schema.SETTINGS if name.startswith("SMTP_"))
    # smtp.env's FROM_EMAIL wins, else notify.env's, as Bash's one namespace has it.
    sender = reader.value(schema.FROM_EMAIL)
    missing = any(not _is_begun(reader, [setting]) for setting in _smtp_needs(reader, security))
    if wrong or broken or missing:
        return None
    return SmtpSettings(server, port, user, password, sender or user, ca_file, security, password_file)
