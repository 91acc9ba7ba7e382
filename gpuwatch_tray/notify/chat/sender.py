"""
The sender of messages to chats and phones, by Apprise: its one importer.

Apprise's log shows secrets as soon as it is verbose, and its requests' log shows addresses: both are off. A
service that hangs is left alone after a deadline, so that its message counts as failed and is tried again.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec.structs import replace

from gpuwatch_tray.common.threads import call_with_timeout
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import MessageKind, Severity
from gpuwatch_tray.model.units import HOUR
from gpuwatch_tray.notify import render
from gpuwatch_tray.notify.outbox_worker import RetryPolicy
from gpuwatch_tray.notify.transport import FailureKind, Receipt, TransportError, configuration_error
from gpuwatch_tray.settings import SecretError
from gpuwatch_tray.settings.chat_services import PLAIN_WEBHOOK, SERVICES, WEBHOOK, scheme_of
from gpuwatch_tray.settings.system_keyring import KeyringEntry

if TYPE_CHECKING:
    from gpuwatch_tray.model import Message
    from gpuwatch_tray.settings import ChatAddress


DEADLINE = 60.0  # seconds for one message; the process that sends is ended much later
# A chat's refusal is told at the third time, so the first two follow soon: see MOST_REFUSALS of the outbox.
CHAT_RETRIES = {
    FailureKind.TRANSIENT: RetryPolicy(30, HOUR),
    FailureKind.QUOTA: RetryPolicy(30, HOUR),
    FailureKind.CONFIGURATION: RetryPolicy(30, HOUR, blocked=True),
}
# What tells how urgent it is, where a service has it and the address does not say.
PRIORITIES = {
    "ntfy": {Severity.CRITICAL: "max", Severity.WARNING: "high", Severity.INFO: "default"},
    "pover": {Severity.CRITICAL: "high", Severity.WARNING: "normal", Severity.INFO: "low"},
    "gotify": {Severity.CRITICAL: "emergency", Severity.WARNING: "high", Severity.INFO: "normal"},
    "prowl": {Severity.CRITICAL: "emergency", Severity.WARNING: "high", Severity.INFO: "normal"},
}
LOGGERS = ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib")
KEYRING_MEND = N_(
    "unlock or install a keyring (such as GNOME Keyring or KWallet); without a desktop, "
    "write the address itself into the file of NOTIFY_URLS_FILE"
)
UNLIMITED = 100_000  # characters, for a webhook


def chat_entry(name: str) -> KeyringEntry:
    """Return where the keyring has the address of the chat with this name."""
    return KeyringEntry("gpuwatch-tray chat", name, _(KEYRING_MEND))


def create_chat(chat: ChatAddress) -> ChatTransport:
    """Return the way to this chat; TransportError (CONFIGURATION) where its address cannot be had."""
    url = chat.url.reveal()
    if not url:
        try:
            url = chat_entry(chat.name).read() or ""
        except SecretError as error:
            raise configuration_error(error.text, error.mend) from None
    if not url:
        text = _("the keyring has no address of the chat {name}").format(name=chat.name)
        raise configuration_error(text, "`gpuwatch-tray setup chat`")
    return ChatTransport(chat, url)


class ChatTransport:
    """The way to one chat; `name` is its service with the server masked."""

    def __init__(self, chat: ChatAddress, url: str) -> None:
        self.name = chat.place
        self._chat = chat
        self._url = url

    def send(self, message: Message) -> Receipt:
        """Return once the service has accepted the message; TransportError, after DEADLINE too."""
        try:
            return call_with_timeout(DEADLINE, lambda: self._send(message), "chat")
        except TimeoutError:
            text = _("{place}: no answer within {seconds:g} s").format(place=self.name, seconds=DEADLINE)
            raise TransportError(FailureKind.TRANSIENT, text, for_all=True) from None

    @property
    def _mend(self) -> str:
        return f"`gpuwatch-tray chat test {self._chat.name}`"

    def _send(self, message: Message) -> Receipt:
        silence_libraries()
        from gpuwatch_tray.notify.chat import wire

        severity = message.details.severity or Severity.INFO
        with wire.watched(plain_text=self._chat.plain_text) as seen:
            if scheme_of(self._url) in {WEBHOOK, PLAIN_WEBHOOK}:
                from gpuwatch_tray.notify.chat.webhook import post_webhook

                post_webhook(self._url, message, time.time())
                taken = True  # as far as the wire does not say otherwise
            else:
                service = self._service(severity)
                room = min(service.body_maxlen or UNLIMITED, UNLIMITED)
                # Before it is fitted: what makes it harmless takes more bytes.
                shown = replace(message, subject=harmless(message.subject), text=harmless(message.text))
                taken = self._notify(
                    service,
                    body=render.fitted(shown, room),
                    title=shown.subject,
                    notify_type=_notify_type(message.kind, severity),
                )
            status = seen.accepted
            if taken and status is not None:
                return Receipt(self.name, f"HTTP {status}")
            raise seen.failure(self.name, self._mend)

    def _notify(self, service: Any, **words: str) -> bool:
        """Return whether Apprise says that the service has taken it; TransportError for a fault in it."""
        try:
            return bool(service.notify(body_format="text", **words))
        except Exception as fault:  # noqa: BLE001  # its text may hold the address
            text = _("{place}: Apprise fails: {kind}").format(place=self.name, kind=type(fault).__name__)
            error = configuration_error(text, self._mend)
        raise error

    def _service(self, severity: Severity) -> Any:
        """Return Apprise's service for the address; TransportError where it makes none of it."""
        try:
            from apprise import Apprise, AppriseAsset
        except ImportError:
            raise configuration_error(
                _("Apprise, the library that knows {service}, is not installed").format(
                    service=self._chat.service
                ),
                "pip install 'gpuwatch-tray[chat]'",
            ) from None
        asset = AppriseAsset(
            app_id="gpuwatch-tray",
            app_desc="gpuwatch-tray",
            app_url="",
            image_url_mask="",
            image_url_logo="",
            async_mode=False,
            http_redirects=False,
            secure_logging=True,
            storage_mode="memory",
        )
        try:
            service = Apprise.instantiate(_with_priority(self._url, severity), asset=asset)
        except Exception:  # noqa: BLE001  # each service has errors of its own, and their texts hold the address
            service = None
        # What Apprise makes of an address must be what it said it is.
        if service is None or not set(service.schemas()) & set(SERVICES):
            text = _("this is no address of {service}").format(service=self._chat.service)
            raise configuration_error(text, _("write its line anew: `gpuwatch-tray setup chat`"))
        if len(service) > 1:
            # Where one of them fails, those that have it would get it again and again.
            text = _("this address of {service} is for several receivers").format(service=self._chat.service)
            raise configuration_error(text, _("give each a line of its own: `gpuwatch-tray setup chat`"))
        return service


# To Telegram Apprise sends tags as they are, and to Discord words that call everybody in the room; Zulip has
# asterisks around such a word. Elsewhere an @ before a word calls a person, and (behind a title) is a link.
_TAGS = str.maketrans("<>", "\u2039\u203a")
_CALLS = re.compile(r"(?<!\w)@(?=\S)|@(?=[*_`]*(?:everyone|here|channel|all|room))", re.IGNORECASE)
_LINKS = re.compile(r"\](?=[(\[])")
_NOTHING = "\u200b"  # takes no room


def harmless(text: str) -> str:
    """Return the text without what a service would take for a tag, a call or a link with another title."""
    text = _CALLS.sub("@" + _NOTHING, text)  # a program may have any name
    return _LINKS.sub("]" + _NOTHING, text).translate(_TAGS)


def silence_libraries() -> None:
    """Have the libraries log nothing: what they log holds the addresses."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False


def _with_priority(url: str, severity: Severity) -> str:
    """Return the address with the priority of the severity, where its service has one and it names none."""
    parts = urlsplit(url)
    scheme = scheme_of(url)
    priorities = PRIORITIES.get(scheme) or PRIORITIES.get(scheme.removesuffix("s"))
    fields = parse_qsl(parts.query, keep_blank_values=True)
    if priorities is None or any(name == "priority" for name, _value in fields):
        return url
    query = urlencode([*fields, ("priority", priorities[severity])])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, parts.fragment))


def _notify_type(kind: MessageKind, severity: Severity) -> str:
    if kind is MessageKind.RESOLVED:
        return "success"
    return {Severity.CRITICAL: "failure", Severity.WARNING: "warning"}.get(severity, "info")
