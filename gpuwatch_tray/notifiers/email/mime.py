"""
A message as the mail standards want it (RFC 5322, RFC 3834 for Auto-Submitted).

Every way out but `mail` and `mailx` sends what this module builds, so that a mail is the same by each.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8, EmailPolicy
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import messages
from gpuwatch_tray.language import _
from gpuwatch_tray.model import MessageKind
from gpuwatch_tray.notifiers.email.lines import neutral, one_line
from gpuwatch_tray.transport import FailureKind, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from email.policy import Policy

    from gpuwatch_tray.model import Message

LONGEST_VALUE = 200  # characters of a header of ours
_NOT_A_LABEL = re.compile(r"[^A-Za-z0-9]+")
_NOT_OF_AN_ID = re.compile(r"[^A-Za-z0-9.+_=-]")


class _Unbroken(UnstructuredHeader, BaseHeader):
    """A header whose words stand as they are: the email package would encode a long Message-ID."""

    def fold(self, *, policy: Policy[Any]) -> str:
        """A word a line."""
        return f"{self.name}: {f'{policy.linesep} '.join(self.split())}{policy.linesep}"


def _policy() -> EmailPolicy[EmailMessage]:
    registry = HeaderRegistry()
    for name in ("in-reply-to", "references", "list-id"):
        registry.map_to_type(name, _Unbroken)
    # 7-bit: nobody asks the server whether it takes more (8BITMIME).
    return SMTP.clone(header_factory=registry, cte_type="7bit")


POLICY = _policy()
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
            _("{key}: {text!r} is no mail address").format(key=key, text=one_line(text, 80)),
            _("correct {key}: one or more addresses like you@example.org").format(key=key),
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
    mail = EmailMessage(policy=POLICY)
    if sender:
        mail["From"] = _header(sender)
    mail["To"] = tuple(_header(each) for each in recipients)
    mail["Subject"] = one_subject(message.subject)
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.created).astimezone())
    mail["Message-ID"] = _one_id(message.message_id)
    for name, value in _about(message):
        mail[name] = value
    mail.set_content(neutral(message.text))
    _add_html(mail, message)
    return mail


def _about(message: Message) -> Iterator[tuple[str, str]]:
    """What says of which kind the mail is, and to which others it belongs."""
    details = message.details
    yield "Auto-Submitted", "auto-generated"
    if details.replies_to:
        names = [_one_id(name) for name in details.replies_to]
        yield "In-Reply-To", names[0]
        yield "References", " ".join(names)
    if not details.host:
        return  # one of an older version
    # A name below `localhost` belongs to nobody else (RFC 2919, 5).
    label = _NOT_A_LABEL.sub("-", details.host).strip("-") or "host"
    yield "List-Id", f"<gpuwatch-tray.{label[:60]}.localhost>"
    yield "X-GPUWatch-Host", one_line(details.host, LONGEST_VALUE)
    yield "X-GPUWatch-State", _state(message)
    if details.incidents:
        yield "X-GPUWatch-Incident", one_line(" ".join(map(str, details.incidents)), LONGEST_VALUE)
    if details.rules:
        yield "X-GPUWatch-Rule", one_line(" ".join(details.rules), LONGEST_VALUE)


def _state(message: Message) -> str:
    if message.kind is MessageKind.ALERT:
        return "reminder" if message.details.reminder else "firing"
    return str(message.kind.value)


def _one_id(name: str) -> str:
    """A Message-ID as a header may have it (RFC 5322, 3.6.4), whatever letters the host's name is made of."""
    own, _at, host = name.partition("@")
    left, right = (_NOT_OF_AN_ID.sub("", part)[: LONGEST_VALUE // 2].strip(".") for part in (own, host))
    return f"<{left or 'unnamed'}@{right or 'localhost'}>"


def _add_html(mail: EmailMessage, message: Message) -> None:
    """The HTML part, with the picture in it, as what mail programs should rather show."""
    html = message.details.html
    if not html:
        return
    if not message.picture:
        html = messages.without_picture(html)
    mail.add_alternative(html, subtype="html", cte="quoted-printable")
    shown = f"<{messages.CHART}>"
    if message.picture and f"cid:{messages.CHART}" in html:
        part = mail.get_payload(1)
        assert isinstance(part, EmailMessage)  # noqa: S101  # it was made on the line before
        part.add_related(message.picture, "image", "png", cid=shown, disposition="inline", filename="gpu.png")


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
