"""
The title and the text of a message to a chat or phone, pure: short, a line for each alert, the worst first.

Others read along in a chat, so nothing of a command's output is in it. The severity is a shape, as colours
and fonts differ from service to service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import FLAPPING, MailDetails, Message, MessageKind, Severity
from gpuwatch_tray.model.units import duration, local_time
from gpuwatch_tray.notify.render.html import SEVERITY_STYLES
from gpuwatch_tray.rules.every_rule import rule_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model import Alert, ReminderNotice
    from gpuwatch_tray.notify.render.html import MailIdentity


OVER = "✔"
MOST_DETAILS = 4  # of a notice
# Of a whole message: WeChat Work takes 2048 bytes, and a phone shows less. Services with a lower limit have
# their own, see notify/chat/.
MOST_BYTES = 2000
LONGEST_LINE = 300  # characters


def alert_chat(identity: MailIdentity, alerts: Sequence[Alert], *, now: float, message_id: str) -> Message:
    """Return the message about alerts that fire."""
    ordered = sorted(alerts, key=lambda alert: (-alert.severity, -alert.value))
    worst = ordered[0]
    what = rule_title(worst.rule)
    if len(ordered) > 1:
        what = ngettext("{count} alert", "{count} alerts", len(ordered)).format(count=len(ordered))
    lines = [f"{shape(alert.severity)} {redact.text(alert.message)}" for alert in ordered]
    if any(alert.raises >= FLAPPING for alert in ordered):
        lines.append(_("It comes and goes: no more notifications until it stays away for a while"))
    title = f"{shape(worst.severity)} {identity.host}: {what}"
    details = _details(identity, ordered, worst.severity)
    return Message(title, _joined(lines), now, message_id, MessageKind.ALERT, details)


def resolved_chat(identity: MailIdentity, alerts: Sequence[Alert], *, now: float, message_id: str) -> Message:
    """Return the message that these alerts, which the chat was told of, are over."""
    what = ngettext("An alert is over", "{count} alerts are over", len(alerts)).format(count=len(alerts))
    over = _("{text} (after {span})")
    lines = [
        f"{OVER} " + over.format(text=redact.text(alert.message), span=duration(max(0.0, now - alert.since)))
        for alert in alerts
    ]
    details = _details(identity, alerts, Severity.INFO)
    title = f"{OVER} {identity.host}: {what}"
    return Message(title, _joined(lines), now, message_id, MessageKind.RESOLVED, details)


def notice_chat(identity: MailIdentity, notice: ReminderNotice, *, now: float, message_id: str) -> Message:
    """Return the message of a notice that was asked for; its log stays where it is, and is named."""
    told = [line for line in notice.details if line != notice.quoted]
    lines = [redact.text(line) for line in (notice.text, *told[:MOST_DETAILS])]
    if notice.run:
        lines.append(_("all of it: gpuwatch-tray runs show {number}").format(number=notice.run))
    title = f"{shape(notice.severity)} {identity.host}: {redact.one_line(notice.title)}"
    details = MailDetails(host=identity.host, severity=notice.severity)
    return Message(title, _joined(lines), now, message_id, MessageKind.NOTICE, details)


def digest_chat(
    identity: MailIdentity, messages: Sequence[Message], *, now: float, message_id: str, late: bool = False
) -> Message:
    """Return one message in place of several that were held back, or are `late`: critical ones first."""
    ordered = sorted(messages, key=lambda message: message.details.severity is not Severity.CRITICAL)
    worst = max((one.details.severity for one in messages if one.details.severity), default=Severity.INFO)
    what = ngettext("{count} message held back", "{count} messages held back", len(messages))
    if late:
        what = ngettext("{count} message is late", "{count} messages are late", len(messages))
    lines = []
    for message in ordered:
        time = "" if message.kind is MessageKind.DIGEST else f"{local_time(message.created, '%H:%M')} "
        lines += [f"{time}{line}" for line in message.text.splitlines()]
    title = f"{shape(worst)} {identity.host}: {what.format(count=len(messages))}"
    details = MailDetails(
        host=identity.host,
        severity=worst,
        rules=tuple(dict.fromkeys(rule for one in messages for rule in one.details.rules)),
        incidents=tuple(dict.fromkeys(number for one in messages for number in one.details.incidents)),
    )
    return Message(title, "\n".join(lines), now, message_id, MessageKind.DIGEST, details)


def chat_trial(identity: MailIdentity, *, now: float, message_id: str) -> Message:
    """Return the message that `chat test` sends."""
    what = _("a test of gpuwatch-tray")
    title = f"{shape(Severity.INFO)} {identity.host}: {what}"
    text = _("Alerts of this computer arrive here.")
    details = MailDetails(host=identity.host, severity=Severity.INFO)
    return Message(title, text, now, message_id, MessageKind.TEST, details)


def fitted(message: Message, most: int, most_bytes: int = MOST_BYTES) -> str:
    """Return the text without the last lines for which `most` characters, with the title, are too few."""
    lines = message.text.splitlines()
    for kept in range(len(lines), 0, -1):
        rest = [_("and {count} more").format(count=len(lines) - kept)] if kept < len(lines) else []
        text = "\n".join([*lines[:kept], *rest])
        whole = f"{message.subject}\n{text}"
        if len(whole) <= most and len(whole.encode(errors="replace")) <= most_bytes:
            return text
    room = max(0, min(most, most_bytes // 4) - len(message.subject) - 2)
    return message.text[:room] + "…"


def shape(severity: Severity) -> str:
    """Return the severity as one character."""
    return SEVERITY_STYLES[severity][0]


def _details(identity: MailIdentity, alerts: Sequence[Alert], severity: Severity) -> MailDetails:
    return MailDetails(
        host=identity.host,
        severity=severity,
        rules=tuple(dict.fromkeys(alert.rule for alert in alerts)),
        incidents=tuple(alert.id for alert in alerts if alert.id),
    )


def _joined(lines: Sequence[str]) -> str:
    visible = [redact.visible(line) for line in lines]
    return "\n".join(
        line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…" for line in visible
    )
