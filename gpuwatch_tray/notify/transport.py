"""The interface of the mail transports, what they raise and what they return; no mail library."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from msgspec import Struct

from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from gpuwatch_tray.model import Message


ReportStep: TypeAlias = Callable[[str], None]  # is given a line for each step done, without secrets


class FailureKind(Enum):
    """What a failure calls for: the outbox worker decides by the kind, never by the text."""

    CONFIGURATION = "configuration"  # somebody has to change something: password, certificate
    SIGN_IN = "sign-in"  # somebody has to sign in to Gmail again
    MESSAGE = "message"  # this mail is refused: too big
    RECIPIENT = "recipient"  # the address is refused
    QUOTA = "quota"  # too many mails: hours, not seconds
    TRANSIENT = "transient"  # retry later
    AMBIGUOUS = "ambiguous"  # it may have been accepted: send again with the same Message-ID


class TransportError(Exception):
    """
    A mail that was not sent; its text is one line without secrets, `mend` says what to do about it.

    `for_all`: this transport would fail for any other mail now, so the rest need not be tried.
    `wait`: the seconds that the server asked to wait, where it did.
    """

    def __init__(
        self,
        kind: FailureKind,
        text: str,
        mend: str = "",
        *,
        for_all: bool = False,
        wait: float | None = None,
    ) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.mend = mend
        self.for_all = for_all or kind in (FailureKind.CONFIGURATION, FailureKind.SIGN_IN)
        self.wait = wait

    def __str__(self) -> str:
        if not self.mend:
            return self.text
        return _("{text} ({mend})").format(text=self.text, mend=self.mend)


def configuration_error(text: str, mend: str) -> TransportError:
    """Return an error that a person has to correct."""
    return TransportError(FailureKind.CONFIGURATION, text, mend)


class Receipt(Struct, frozen=True):
    """The server's answer when it accepted the mail; `missed` are recipients it refused meanwhile."""

    transport: str
    answer: str
    missed: tuple[MissedRecipients, ...] = ()


class MissedRecipients(Struct, frozen=True):
    """Recipients refused for a mail that others got, and why."""

    recipients: tuple[str, ...]
    error: TransportError


class Sender(Protocol):
    """A way to send a mail or a message to a chat."""

    @property
    def name(self) -> str:
        """The name for people: `SMTP smtp.example.org:587`."""

    def send(self, message: Message) -> Receipt:
        """Return once the server has accepted the mail, in bounded time; else raise TransportError."""


class Transport(Sender, Protocol):
    """A way to send mail."""

    def probe(self, report: ReportStep) -> None:
        """Do all of that but the sending, and report each step done; TransportError."""
