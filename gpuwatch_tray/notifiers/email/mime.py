"""
A message as the mail standards want it (RFC 5322, RFC 3834 for Auto-Submitted).

Every way out but `mail` and `mailx` sends what this module builds, so that a mail is the same by each.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from typing import TYPE_CHECKING

from gpuwatch_tray.notifiers.email.lines import neutral, one_line
from gpuwatch_tray.transport import FailureKind, TransportError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model import Message

# What an address may not hold here: blanks, controls, and the signs that would make it several or a route.
_BAD_ADDRESS = re.compile(r"[\s\x00-\x20\x7f-\x9f<>(),;:\\\"\[\]]")


def address(text: str, key: str) -> str:
    """
    The bare address, its domain in ASCII; a name without a domain is a local user, as the Bash tool has it.

    TransportError (CONFIGURATION) names `key`, the setting it came from.
    """
    local, at, domain = text.strip().rpartition("@")
    if not at:
        local, domain = domain, ""
    try:
        plain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        plain = ""
    # A leading hyphen would be an option to the local mail programs.
    bad = not local or local.startswith("-") or "@" in local or _BAD_ADDRESS.search(local + domain)
    if bad or (at and not plain):
        raise TransportError(
            FailureKind.CONFIGURATION,
            f"{key}: {one_line(text, 80)!r} is no mail address",
            f"correct {key}: one or more addresses like you@example.org",
        )
    return f"{local}@{plain}" if at else local


def addresses(texts: Sequence[str], key: str) -> tuple[str, ...]:
    """Each address once, in order."""
    return tuple(dict.fromkeys(address(text, key) for text in texts))


def _header(plain: str) -> Address:
    local, _, domain = plain.rpartition("@")
    return Address(username=local, domain=domain) if local else Address(username=plain)


def build(message: Message, *, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """
    The mail with all its headers; an empty `sender` leaves From to the program that sends it.

    Subject and text are neutralised: process names in them belong to strangers.
    """
    mail = EmailMessage(policy=SMTP)
    if sender:
        mail["From"] = _header(sender)
    mail["To"] = tuple(_header(each) for each in recipients)
    mail["Subject"] = one_subject(message.subject)
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.created).astimezone())
    mail["Message-ID"] = f"<{one_line(message.message_id).strip('<>').replace(' ', '')}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(neutral(message.text))
    return mail


def one_subject(subject: str) -> str:
    """The subject as one line; its runs of blanks stay, since the Bash tool's subject has two."""
    return neutral(subject).replace("\n", " ").strip()


def international(names: Sequence[str]) -> bool:
    """Whether one of these addresses needs SMTPUTF8 (RFC 6531)."""
    return not all(name.isascii() for name in names)


def as_bytes(mail: EmailMessage, *, utf8: bool = False, line_end: str = "\r\n") -> bytes:
    """The mail as it goes over the wire: 7-bit, save for addresses where `utf8` is set."""
    policy = (SMTPUTF8 if utf8 else SMTP).clone(linesep=line_end)
    return mail.as_bytes(policy=policy)
