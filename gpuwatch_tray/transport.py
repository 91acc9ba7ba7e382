"""
The port between the outbox's runner and the ways a mail can leave.

The runner (`delivery`) knows only this module; the ways (`notifiers.email`) implement it. Nothing here
imports a mail library, so that the process of the tray stays small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from gpuwatch_tray.model import Message


Report: TypeAlias = Callable[[str], None]  # is told what has been done, in a line without secrets


class FailureKind(Enum):
    """What a failure asks for: the runner decides by this, never by the text."""

    CONFIGURATION = "configuration"  # somebody has to change something: password, certificate
    SIGN_IN = "sign-in"  # somebody has to sign in to Gmail again
    MESSAGE = "message"  # this mail is not taken: too big
    RECIPIENT = "recipient"  # the address is not taken
    QUOTA = "quota"  # too many mails: hours, not seconds
    TRANSIENT = "transient"  # later is enough
    AMBIGUOUS = "ambiguous"  # it may have been accepted: send again with the same Message-ID


class TransportError(Exception):
    """
    A mail that did not leave, in one clear line without secrets.

    `for_all`: no other mail would fare better by this way now, so the rest need not be tried.
    `wait`: the seconds the other side asked to wait, where it said so.
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


@dataclass(frozen=True, slots=True)
class Receipt:
    """
    What the other side said when it took the mail; `transport` names the way that was used.

    `missed` are those of several recipients who were refused while others were not.
    """

    transport: str
    answer: str
    missed: tuple[Missed, ...] = ()


@dataclass(frozen=True, slots=True)
class Missed:
    """Recipients who did not get a mail that others got, and why: as with a failure, the kind decides."""

    recipients: tuple[str, ...]
    error: TransportError


class Transport(Protocol):
    """One way out. `send` returns when the other side has taken the mail, else raises TransportError."""

    @property
    def name(self) -> str:
        """How people call it: `SMTP smtp.example.org:587`."""

    def send(self, message: Message) -> Receipt:
        """Hand the mail over, in bounded time."""

    def probe(self, report: Report) -> None:
        """Do all of that but the sending, and report each step that is done; TransportError."""
