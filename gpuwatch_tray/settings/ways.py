"""
The two ways out that have to be set up, SMTP and Gmail: what is missing of them.

`auto` takes a way that is set up. One that somebody began to set up and that is wrong is taken all the same:
its mail waits and the problem is named, rather than that it leaves by a way nobody asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gpuwatch_tray.settings import keys
from gpuwatch_tray.settings.kinds import NotifyMethod, SmtpSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.settings.key import Key
    from gpuwatch_tray.settings.reading import Reading

_NOTIFY_FILE, _SMTP_FILE = 1, 2  # places in the order of the files
_SMTP_NEEDS = (keys.SMTP_HOST, keys.SMTP_USER, keys.SMTP_PASS)
_GMAIL_NEEDS = (keys.GMAIL_API_CREDENTIALS, keys.GMAIL_API_TOKEN)
_NO_SENDER = "FROM_EMAIL is not set and SMTP_USER is no address: many servers refuse the mail"

GmailPaths: TypeAlias = tuple[Path | None, Path | None]


def settle(reading: Reading, asked: NotifyMethod) -> tuple[NotifyMethod, SmtpSettings | None, GmailPaths]:
    """The way to go, the server if there is one, and Gmail's credentials and token."""
    smtp_tried = _tried(reading, _SMTP_NEEDS) or _SMTP_FILE in reading.unread
    if asked is NotifyMethod.SMTP or (asked is NotifyMethod.AUTO and smtp_tried):
        _require(reading, _SMTP_NEEDS, _SMTP_FILE, asked)
    smtp = _smtp(reading)
    no_sender = smtp is not None and "@" not in smtp.user and reading.given(keys.FROM_EMAIL) is None
    if no_sender and asked is not NotifyMethod.GMAIL_API:
        reading.warnings.append(_NO_SENDER)
    gmail_tried = _tried(reading, _GMAIL_NEEDS)
    if asked is NotifyMethod.GMAIL_API or (asked is NotifyMethod.AUTO and gmail_tried and not smtp_tried):
        _require(reading, _GMAIL_NEEDS, _NOTIFY_FILE, asked)
    gmail = (reading.value(keys.GMAIL_API_CREDENTIALS), reading.value(keys.GMAIL_API_TOKEN))
    method = asked
    if asked is NotifyMethod.AUTO and smtp is None and smtp_tried:
        method = NotifyMethod.SMTP
    elif asked is NotifyMethod.AUTO and smtp is None and gmail_tried and None in gmail:
        method = NotifyMethod.GMAIL_API
    return method, smtp, gmail


def _tried(reading: Reading, needs: Sequence[Key[Any]]) -> bool:
    return any(reading.given(key) is not None or key.name in reading.broken for key in needs)


def _require(reading: Reading, needs: Sequence[Key[Any]], file: int, asked: NotifyMethod) -> None:
    """A problem for each key that is not set; not where its file or its line cannot be read at all."""
    if file in reading.unread:
        return
    begun = [key.name for key in needs if _tried(reading, [key])]
    for key in needs:
        if key.name in begun:
            continue
        if asked is NotifyMethod.AUTO:
            why, mend = f"but {next(iter(begun), 'another of its keys')} is", "set it, or none of them"
        else:
            why, mend = f"but NOTIFY_METHOD={asked.value} needs it", "set it, or NOTIFY_METHOD=auto"
        untouched = reading.placeholders.get(key.name)
        if untouched is None:
            reading.problem(file, None, key.name, f"not set, {why}: {mend}")
        else:
            text = f"still the example's value, {why}: {mend}"
            reading.problem(untouched.file, untouched.line, key.name, text)


def _smtp(reading: Reading) -> SmtpSettings | None:
    """The server, if all of it is there and right."""
    before = len(reading.problems)
    host = reading.value(keys.SMTP_HOST)
    port = reading.value(keys.SMTP_PORT)
    user = reading.value(keys.SMTP_USER)
    password = reading.value(keys.SMTP_PASS)
    ca_file = reading.value(keys.SMTP_CA_FILE)
    wrong = len(reading.problems) > before or _SMTP_FILE in reading.unread
    broken = not reading.broken.isdisjoint(name for name in keys.KEYS if name.startswith("SMTP_"))
    # smtp.env's FROM_EMAIL wins, else notify.env's, as Bash's one namespace has it.
    sender = reading.value(keys.FROM_EMAIL)
    if wrong or broken or not (host and user and password.reveal()):
        return None
    return SmtpSettings(host, port, user, password, sender or user, ca_file)
