"""The subject and the plain text of mails, pure, in the Bash tool's format (gpu_watch.sh of GPU Watchdog)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.proclist import own_text
from gpuwatch_tray.model import Alert, GpuProcess, MailDetails, Message, MessageKind, ReminderNotice, Severity
from gpuwatch_tray.model.units import duration, local_time
from gpuwatch_tray.notify.render.html import (
    MailIdentity,
    alerts_html,
    digest_html,
    notice_html,
    resolved_html,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


MAX_ETIME, HUNG = "max_etime", "hung"
PREFIX = "[GPU Watchdog] "
NO_PROCESSES = "<no gpu processes detected>"
UNREADABLE = "<the process list could not be read>"
THE_LAST = "\n\nThe last of them:\n\n"  # in a digest
LAST_LINES = "\n\nLast lines:\n"  # of a command's output
MOST_THREADS = 19  # newest references beside the oldest: servers refuse headers that are too long
NOT_TRIGGERED = "TEST_MAIL: force send (no threshold triggered)"


def alert_mail(
    identity: MailIdentity,
    alerts: Sequence[Alert],
    processes: Iterable[GpuProcess],
    gaps: Iterable[str],
    *,
    now: float,
    message_id: str,
    kind: MessageKind = MessageKind.ALERT,
    redacted: bool = True,
    is_repeat: bool = False,
) -> Message:
    """
    Return the mail about `alerts`, of which a test mail may have none; a `is_repeat` repeats an earlier mail.

    `processes` are those that count, `gaps` the lines about what could not be read (`rules.open_questions`).
    `now` is wall time. Command lines are redacted unless `redacted` is False, as on one's own terminal.
    """
    running = tuple(processes)
    first, others = triggered(alerts)
    if identity.watched_from:  # nobody reads its mails by the Bash tool's format: the sentences are plainer
        first, others = [redact.text(alert.message) for alert in alerts], []
    lost = [redact.text(gap) for gap in gaps]
    raw = own_text(running, redacted=redacted).rstrip("\n")
    sections = [
        _head(identity, local_time(now)),
        f"Config: {identity.config}\nTriggered:\n{_bullets(first or [NOT_TRIGGERED])}",
    ]
    if others:
        sections.append(f"Also over MAX_ETIME:\n{_bullets(others)}")
    if not identity.watched_from and (
        hung := [redact.text(alert.message) for alert in alerts if alert.rule == HUNG]
    ):
        sections.append(f"What is known:\n{_bullets(hung)}")  # the reasons above are short
    if lost:
        sections.append(f"Not readable:\n{_bullets(lost)}")
    if identity.watched_from:  # no process of a lab is in a mail
        sections[-1] += "\n"
    else:
        sections.append(f"Raw output:\n{raw or (UNREADABLE if lost else NO_PROCESSES)}\n")
    details = _details(
        identity,
        alerts,
        message_id,
        html=alerts_html(identity, alerts, running, lost, now=now, kind=kind, is_repeat=is_repeat),
        is_repeat=is_repeat,
    )
    text = _with_state(identity, "reminder" if is_repeat else "firing", "\n\n".join(sections), kind)
    subject = _subject(identity, alerts, f"{identity.user}@{identity.host}  {local_time(now)}")
    return Message(subject, text, now, message_id, kind, details)


def triggered(alerts: Sequence[Alert]) -> tuple[list[str], list[str]]:
    """Return the reasons for "Triggered:", and those of the processes over MAX_ETIME but the longest."""
    over = [alert for alert in alerts if alert.rule == MAX_ETIME]
    longest = max(over, key=lambda alert: alert.value, default=None)  # the first of equals
    shown = [alert for alert in alerts if alert.rule != MAX_ETIME or alert is over[0]]
    first = [longest.reason if alert.rule == MAX_ETIME and longest else alert.reason for alert in shown]
    return first, [alert.reason for alert in over if alert is not longest]


def resolved_mail(identity: MailIdentity, alerts: Sequence[Alert], *, now: float, message_id: str) -> Message:
    """Return the mail that says that these alerts, which were mailed before, are over."""
    time = local_time(now)
    items = [
        f"{_said(identity, alert)} (after {duration(now - alert.since)})"
        if now > alert.since
        else _said(identity, alert)
        for alert in alerts
    ]
    text = f"{_head(identity, time)}\n\nConfig: {identity.config}\nResolved:\n{_bullets(items)}\n"
    details = _details(identity, alerts, message_id, html=resolved_html(identity, alerts, now=now))
    text = _with_state(identity, "resolved", text, MessageKind.RESOLVED)
    subject = _subject(identity, alerts, f"resolved: {identity.user}@{identity.host}  {time}")
    return Message(subject, text, now, message_id, MessageKind.RESOLVED, details)


def digest(
    identity: MailIdentity, mails: Sequence[Message], *, now: float, message_id: str, late: bool = False
) -> Message:
    """
    Return one mail in place of several: the points of each with its time, and the text of the last.

    They were held back, or are `late` as they could not be sent. Critical ones come first, else the oldest.
    """
    time = local_time(now)
    ordered = sorted(mails, key=lambda mail: mail.details.severity is not Severity.CRITICAL)
    critical = sum(mail.details.severity is Severity.CRITICAL for mail in mails)
    why = "could not be sent before" if late else "were held back, because so many had gone out already"
    text = (
        f"{len(mails)} mails {why}.\n\n" + "\n\n".join(map(_summary, ordered)) + f"{THE_LAST}{mails[-1].text}"
    )
    worst = f", {critical} critical" if critical else ""
    subject = f"{PREFIX}digest of {len(mails)} mails{worst}: {identity.user}@{identity.host}  {time}"
    details = MailDetails(
        digest_html(identity, [(mail, _bullets_in(mail.text)) for mail in ordered], now=now, late=late),
        identity.host,
        max((mail.details.severity for mail in mails if mail.details.severity), default=None),
        tuple(dict.fromkeys(rule for mail in mails for rule in mail.details.rules)),
        tuple(dict.fromkeys(number for mail in mails for number in mail.details.incidents)),
    )
    return Message(subject, text, now, message_id, MessageKind.DIGEST, details)


def _said(identity: MailIdentity, alert: Alert) -> str:
    return redact.text(alert.message) if identity.watched_from else alert.reason


def _head(identity: MailIdentity, time: str) -> str:
    """Return the first lines: when, where, who."""
    where = (
        f"{identity.host}, watched from {identity.watched_from}" if identity.watched_from else identity.host
    )
    return f"Time: {time}\nHost: {where}\nUser: {identity.user}"


def _summary(mail: Message) -> str:
    """Return the points of one mail, with the time at which it was written."""
    if mail.kind is MessageKind.DIGEST:  # each of its mails has its own time
        return mail.text.partition(THE_LAST)[0]
    subject, time = mail.subject.removeprefix(PREFIX), local_time(mail.created)
    summary = f"{subject if time in subject else f'{subject}  {time}'}\n{_bullets(_bullets_in(mail.text))}"
    _before, heading, output = mail.text.partition(LAST_LINES)
    return f"{summary}{heading}{output}".rstrip("\n") if mail.kind is MessageKind.NOTICE else summary


def notice_mail(identity: MailIdentity, notice: ReminderNotice, *, now: float, message_id: str) -> Message:
    """Return the mail of a notice, with the time at which its event happened."""
    time = local_time(notice.at)
    sections = [
        _head(identity, time),
        f"Config: {identity.config}\nTold as you asked:\n{_bullets([notice.text, *notice.details])}",
    ]
    subject = f"{PREFIX}{notice.title}: {identity.user}@{identity.host}  {time}"
    details = MailDetails(
        notice_html(identity, notice), identity.host, notice.severity, subjects=notice.gpus, run=notice.run
    )
    output = LAST_LINES + "\n".join(f"  {line}" for line in notice.output) if notice.output else ""
    text = "\n\n".join(sections) + f"{output}\n"
    return Message(subject, text, now, message_id, MessageKind.NOTICE, details)


def dry_run(message: Message) -> str:
    """Return what `check --dry-run` prints."""
    return f"=== DRY RUN (not sending) ===\n{message.subject}\n-----------------------------\n{message.text}"


def _details(
    identity: MailIdentity,
    alerts: Sequence[Alert],
    message_id: str,
    *,
    html: str,
    is_repeat: bool = False,
) -> MailDetails:
    ids = [thread_id for thread_id, _ in _threads(alerts) if thread_id != message_id]
    worst_first = sorted(alerts, key=lambda alert: -alert.severity)
    return MailDetails(
        html=html,
        host=identity.host,
        severity=worst_first[0].severity if worst_first else None,
        rules=tuple(dict.fromkeys(alert.rule for alert in alerts)),
        incidents=tuple(alert.id for alert in alerts if alert.id),
        subjects=tuple(alert.subject for alert in worst_first if alert.subject),
        replies_to=(*ids[:1], *ids[1:][-MOST_THREADS:]),
        reminder=is_repeat,
    )


def _threads(alerts: Iterable[Alert]) -> list[tuple[str, float]]:
    """Return the Message-IDs and times of the first mails about these incidents, oldest first."""
    threads = {alert.thread for alert in alerts if alert.thread is not None}
    return sorted(threads, key=lambda thread: (thread[1], thread[0]))


def _subject(identity: MailIdentity, alerts: Sequence[Alert], own: str) -> str:
    """Return the mail's own subject, or with MAIL_THREADING that of the first mail about the incident."""
    threads = _threads(alerts)
    if not identity.threading or not threads:
        return f"{PREFIX}{own}"
    return f"{PREFIX}{identity.user}@{identity.host}  {local_time(threads[0][1])}"


def _with_state(identity: MailIdentity, state: str, text: str, kind: MessageKind) -> str:
    """Return the text, with the state in its first line where the subject does not show it."""
    return f"State: {state}\n{text}" if identity.threading and kind is not MessageKind.TEST else text


def _bullets_in(text: str) -> list[str]:
    """Return the items of the lists in a mail."""
    return [line[2:] for line in text.splitlines() if line.startswith("- ")]


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
