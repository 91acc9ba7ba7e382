"""
A message as the mail standards want it (RFC 5322, RFC 3834), and foreign text made safe to show.

Server answers, libraries' errors and process names are written by strangers: one line, no secret in them.
"""

from __future__ import annotations

import base64
import re
from datetime import datetime
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8, EmailPolicy
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from gpuwatch_tray.common.redact import visible
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import MessageKind
from gpuwatch_tray.notify.render import CHART, without_picture
from gpuwatch_tray.notify.transport import configuration_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from email.policy import Policy

    from gpuwatch_tray.model import Message


LONGEST_ANSWER = 300  # characters of a server's answer that are shown
SHORTEST_SECRET = 4  # characters: a shorter piece would blank out ordinary words


def escape_controls(text: str) -> str:
    """Return the text with control characters escaped; newlines stay, a tab becomes blanks."""
    lines = text.replace("\r\n", "\n").expandtabs(4).split("\n")
    return "\n".join(visible(line) for line in lines)


def one_line(text: str, longest: int | None = None) -> str:
    """Return the text on one line of at most `longest` characters."""
    line = visible(" ".join(text.split()))
    return line if longest is None or len(line) <= longest else line[: longest - 3] + "..."


def _encodings(secret: str) -> set[str]:
    """Return the forms of a secret: as it is, URL-encoded, and inside any base64 text."""
    raw = secret.encode("utf-8", "surrogateescape")
    forms = {secret, quote(raw, safe=""), quote(raw), quote_plus(raw)}
    for before in range(3):
        # The characters that depend on the secret alone, for each position in a triplet of bytes.
        encoded = base64.b64encode(b"\0" * before + raw).decode("ascii").rstrip("=")
        start = (0, 2, 3)[before]
        end = (before + len(raw)) * 8 // 6
        for alphabet in (encoded, encoded.replace("+", "-").replace("/", "_")):
            forms.add(alphabet[start:end])
    return {form for form in forms if len(form) >= SHORTEST_SECRET}


class Scrubber:
    """Removes secrets from foreign text, in their literal, base64 and URL-encoded forms."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if secret for form in _encodings(secret)}
        # The longest first, or a part would be cut out of a whole secret.
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, text: str | bytes, longest: int | None = LONGEST_ANSWER) -> str:
        """Return the text on one line, without the secrets."""
        line = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        if self._pattern is not None:
            line = self._pattern.sub("***", line)
        return one_line(line, longest)


LONGEST_VALUE = 200  # characters of a header of ours
_NOT_A_LABEL = re.compile(r"[^A-Za-z0-9]+")
_NOT_OF_AN_ID = re.compile(r"[^A-Za-z0-9.+_=-]")


class _UnencodedHeader(UnstructuredHeader, BaseHeader):
    """A header whose words stay as they are: the email package would encode a long Message-ID."""

    def fold(self, *, policy: Policy[Any]) -> str:
        """Put each word on a line."""
        return f"{self.name}: {f'{policy.linesep} '.join(self.split())}{policy.linesep}"


def _policy() -> EmailPolicy[EmailMessage]:
    registry = HeaderRegistry()
    for name in ("in-reply-to", "references", "list-id"):
        registry.map_to_type(name, _UnencodedHeader)
    # 7-bit, as no transport asks the server for 8BITMIME.
    return SMTP.clone(header_factory=registry, cte_type="7bit")


POLICY = _policy()
# Not in an address: blanks, control characters, and the signs that would make it several or a route.
_BAD_ADDRESS = re.compile(r"[\s\x00-\x20\x7f-\x9f<>(),;:\\\"\[\]]")


def parse_address(text: str, key: str) -> str:
    """
    Return the bare address, its domain in ASCII; without a domain it is a local user, as in the Bash tool.

    TransportError (CONFIGURATION) names `key`, the setting that `text` came from.
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
        raise configuration_error(
            _("{key}: {text!r} is not an email address").format(key=key, text=one_line(text, 80)),
            _("correct {key}: one or more addresses like you@example.org").format(key=key),
        )
    return f"{local}@{plain}" if at else local


def parse_addresses(texts: Sequence[str], key: str) -> tuple[str, ...]:
    """Return each address once, in order."""
    return tuple(dict.fromkeys(parse_address(text, key) for text in texts))


def _header_address(plain: str) -> Address:
    local, _, domain = plain.rpartition("@")
    return Address(username=local, domain=domain) if local else Address(username=plain)


def build_mail(message: Message, *, sender: str, recipients: Sequence[str], line_end: str = "\r\n") -> bytes:
    """
    Return the mail as it goes over the wire, 7-bit save for addresses beyond ASCII.

    An empty `sender` leaves From to the program that sends it. Control characters in subject and text are
    escaped: the process names in them are written by strangers.
    """
    mail = EmailMessage(policy=POLICY)
    if sender:
        mail["From"] = _header_address(sender)
    mail["To"] = tuple(_header_address(recipient) for recipient in recipients)
    mail["Subject"] = subject_line(message.subject)
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.created).astimezone())
    mail["Message-ID"] = _message_id(message.message_id)
    for name, value in _own_headers(message):
        mail[name] = value
    mail.set_content(escape_controls(message.text))
    _add_html(mail, message)
    for file in message.attachments:
        main, _slash, sub = file.mime_type.partition("/")
        mail.add_attachment(file.data, main, sub, filename=one_line(file.name, LONGEST_VALUE), cte="base64")
    policy = SMTPUTF8 if needs_smtputf8((sender, *recipients)) else SMTP
    return mail.as_bytes(policy=policy.clone(linesep=line_end))


def _own_headers(message: Message) -> Iterator[tuple[str, str]]:
    """Yield the headers that mail programs filter and thread by."""
    details = message.details
    yield "Auto-Submitted", "auto-generated"
    if details.replies_to:
        ids = [_message_id(name) for name in details.replies_to]
        yield "In-Reply-To", ids[0]
        yield "References", " ".join(ids)
    if not details.host:
        return  # queued by an older version
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


def _message_id(name: str) -> str:
    """Return a valid Message-ID (RFC 5322, 3.6.4), whatever characters the host's name has."""
    own, _at, host = name.partition("@")
    left, right = (_NOT_OF_AN_ID.sub("", part)[: LONGEST_VALUE // 2].strip(".") for part in (own, host))
    return f"<{left or 'unnamed'}@{right or 'localhost'}>"


def _add_html(mail: EmailMessage, message: Message) -> None:
    """Add the HTML part, with its picture, as the alternative that mail programs prefer."""
    html = message.details.html
    if not html:
        return
    if not message.picture:
        html = without_picture(html)
    mail.add_alternative(html, subtype="html", cte="quoted-printable")
    part = list(mail.iter_parts())[-1]
    if message.picture and f"cid:{CHART}" in html:
        part.add_related(
            message.picture, "image", "png", cid=f"<{CHART}>", disposition="inline", filename="gpu.png"
        )


def subject_line(subject: str) -> str:
    """Return the subject on one line; runs of blanks stay, as in the Bash tool's subject."""
    return escape_controls(subject).replace("\n", " ").strip()


def needs_smtputf8(addresses: Sequence[str]) -> bool:
    """Return whether one of these addresses needs SMTPUTF8 (RFC 6531)."""
    return not all(address.isascii() for address in addresses)
