"""What keeps mails from being sent, for the person: a note while it lasts, a popup when it begins; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import _, ngettext
from gpuwatch_tray.model import Button, Popup, Severity
from gpuwatch_tray.transport import FailureKind
from gpuwatch_tray.units import local_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.store import OutboxSummary

LATE_AFTER = 300.0  # seconds after which a mail that waits without an error gets a note
BLOCKED_KEY, DEAD_KEY = "mail-blocked", "mail-dead"  # of the popups
BLOCKING = frozenset({FailureKind.CONFIGURATION.value, FailureKind.SIGN_IN.value})


def mail_notes(waiting: OutboxSummary, now: float) -> Iterator[str]:
    """Yield the lines for the menu; none while all is well or is being sent."""
    late = waiting.oldest is not None and now - waiting.oldest > LATE_AFTER
    if waiting.count and (waiting.error or late):
        yield _waiting_line(waiting)
    if waiting.held:
        yield ngettext(
            "Email: {count} mail is held for a digest, so many have gone out",
            "Email: {count} mails are held for a digest, so many have gone out",
            waiting.held,
        ).format(count=waiting.held)
    if waiting.dead:
        yield ngettext(
            "Email: {count} mail was given up (`gpuwatch-tray mail queue`): {error}",
            "Email: {count} mails were given up (`gpuwatch-tray mail queue`): {error}",
            waiting.dead,
        ).format(count=waiting.dead, error=waiting.dead_error)


class MailHealth:
    """
    The popups about the outbox: one each time a person has to act, none for a mail that is only late.

    A passing failure between two equal ones, as an unreachable server, brings no second popup.
    """

    def __init__(self) -> None:
        self._failure = ""
        self._dead = 0

    def popups(self, waiting: OutboxSummary) -> tuple[Popup, ...]:
        """Return the popups to show now that `waiting` is what waits."""
        due = []
        failure = waiting.failure
        if waiting.error and failure not in BLOCKING:
            failure = self._failure
        if failure and failure != self._failure:
            buttons = (Button.SIGN_IN,) if failure == FailureKind.SIGN_IN.value else ()
            title = _("Mail cannot be sent until you act")
            due.append(Popup(BLOCKED_KEY, title, waiting.error, Severity.WARNING, buttons))
        if waiting.dead > self._dead:
            due.append(
                Popup(DEAD_KEY, _("A mail was refused for good"), _given_up(waiting), Severity.WARNING)
            )
        self._failure, self._dead = failure, waiting.dead
        return tuple(due)

    def closed_keys(self, waiting: OutboxSummary) -> tuple[str, ...]:
        """Return the keys of the popups that are obsolete now; call it before `popups`."""
        return (BLOCKED_KEY,) if self._failure and not waiting.error else ()


def _waiting_line(waiting: OutboxSummary) -> str:
    mails = ngettext("{count} mail waits", "{count} mails wait", waiting.count).format(count=waiting.count)
    if waiting.oldest is not None:
        since = local_time(waiting.oldest, "%H:%M")
        mails = _("{mails} since {time}").format(mails=mails, time=since)
    return _("Email: {mails}").format(mails=mails) + (f": {waiting.error}" if waiting.error else "")


def _given_up(waiting: OutboxSummary) -> str:
    advice = _("`gpuwatch-tray mail queue` lists it; `mail retry` sends it again, `mail drop` drops it")
    return f"{waiting.dead_error}\n{advice}"
