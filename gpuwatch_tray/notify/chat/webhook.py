"""
A webhook for programs of one's own: JSON, signed where the address has a secret.

Not by Apprise, whose JSON has neither a signature nor a number of its own: here a message that is sent twice
has the same `webhook-id` both times, so that the receiver can tell. Headers and signature are those of
Standard Webhooks (https://www.standardwebhooks.com, 1.0.0), which has libraries for every language.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from gpuwatch_tray.i18n import _
from gpuwatch_tray.notify.chat import wire
from gpuwatch_tray.notify.transport import configuration_error
from gpuwatch_tray.settings.chat_services import PLAIN_WEBHOOK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.model import Message


SECRET = "secret"  # noqa: S105  # the parameter of the address that holds it
PREFIX = "whsec_"  # of a secret in base64
FORMAT = 1


def post_webhook(address: str, message: Message, now: float) -> None:
    """Post the message; what comes of it is on the wire."""
    url, secret = _target(address)
    body = json.dumps(payload(message), ensure_ascii=False).encode(errors="replace")
    number = message.message_id.strip("<>").partition("@")[0]
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "gpuwatch-tray",
        "webhook-id": number,
        "webhook-timestamp": str(int(now)),
    }
    if secret:
        headers["webhook-signature"] = signature(secret, headers, body)
    wire.post(url, body, headers)


def payload(message: Message) -> dict[str, object]:
    """Return what the webhook is sent; docs/chat.md describes it."""
    details = message.details
    return {
        "version": FORMAT,
        "kind": message.kind.value,
        "severity": details.severity.name.lower() if details.severity is not None else None,
        "host": details.host,
        "title": message.subject,
        "text": message.text,
        "rules": list(details.rules),
        "alerts": list(details.incidents),
        "created": message.created,
    }


def signature(secret: str, headers: Mapping[str, str], body: bytes) -> str:
    """Return the value of `webhook-signature`: HMAC-SHA256 over number, time and body."""
    key = secret.encode()
    if secret.startswith(PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            text = _("the webhook's secret is not base64, as it is behind whsec_")
            raise configuration_error(text, _("write its line anew: `gpuwatch-tray setup chat`")) from None
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _target(address: str) -> tuple[str, str]:
    """Return where to post, and the secret, which never leaves."""
    # The rest as it stands; of the secret a + is no blank, for base64 has it.
    parts = urlsplit(address)
    fields = [field.partition("=") for field in parts.query.split("&")]
    secret = next((unquote(value) for name, _equals, value in fields if name == SECRET), "")
    query = "&".join("".join(field) for field in fields if field[0] != SECRET)
    scheme = "http" if parts.scheme == PLAIN_WEBHOOK else "https"
    return urlunsplit((scheme, parts.netloc, parts.path, query, "")), secret
