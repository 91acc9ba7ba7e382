"""
The mail's words, pure: the Bash tool's subject and body.

Format (from GPU Watchdog's gpu_watch.sh): subject `[GPU Watchdog] user@host  2026-01-07 23:27:48`; body
Time, Host, User, Config, Triggered (a reason a line, behind `- `) and Raw output (the process list).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.listing.text import own_text
from gpuwatch_tray.messages import html
from gpuwatch_tray.messages.heads import MAX_ETIME, Letterhead
from gpuwatch_tray.model import Alert, Details, GpuProcess, Message, MessageKind, Notice, Severity
from gpuwatch_tray.units import duration, local_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PREFIX = "[GPU Watchdog] "
NO_PROCESSES = "<no gpu processes detected>"
UNREADABLE = "<the process list could not be read>"
THE_LAST = "\n\nThe last of them:\n\n"  # in a digest
LAST_LINES = "\n\nLast lines:\n"  # of a command's output
MOST_THREADS = 19  # beside the oldest, the newest ones: servers refuse a head without end
NOT_TRIGGERED = "TEST_MAIL: force send (no threshold triggered)"


def alert_mail(
    head: Letterhead,
    alerts: Sequence[Alert],
    processes: Iterable[GpuProcess],
    gaps: Iterable[str],
    *,
    now: float,
    message_id: str,
    kind: MessageKind = MessageKind.ALERT,
    redacted: bool = True,
    reminder: bool = False,
) -> Message:
    """
    The mail about `alerts`; a test mail may have none. A `reminder` tells nothing new.

    `processes` are those that count, `gaps` what could not be read (`rules.gaps`). `now` is wall time and
    printed as local time. Command lines are redacted, save on one's own terminal.
    """
    running = tuple(processes)
    first, others = triggered(alerts)
    lost = [redact.text(gap) for gap in gaps]
    raw = own_text(running, redacted=redacted).rstrip("\n")
    sections = [
        f"Time: {local_time(now)}\nHost: {head.host}\nUser: {head.user}",
        f"Config: {head.config}\nTriggered:\n{_items(first or [NOT_TRIGGERED])}",
    ]
    if others:
        sections.append(f"Also over MAX_ETIME:\n{_items(others)}")
    if lost:
        sections.append(f"Not readable:\n{_items(lost)}")
    sections.append(f"Raw output:\n{raw or (UNREADABLE if lost else NO_PROCESSES)}\n")
    details = _details(
        head,
        alerts,
        message_id,
        html=html.of_alerts(head, alerts, running, lost, now=now, kind=kind, reminder=reminder),
        reminder=reminder,
    )
    text = _stated(head, "reminder" if reminder else "firing", "\n\n".join(sections), kind)
    subject = _subject(head, alerts, f"{head.user}@{head.host}  {local_time(now)}")
    return Message(subject, text, now, message_id, kind, details)


def triggered(alerts: Sequence[Alert]) -> tuple[list[str], list[str]]:
    """The reasons for "Triggered:", and those of the processes over MAX_ETIME beside the longest."""
    over = [alert for alert in alerts if alert.rule == MAX_ETIME]
    longest = max(over, key=lambda alert: alert.value, default=None)  # the first of equals
    shown = [alert for alert in alerts if alert.rule != MAX_ETIME or alert is over[0]]
    first = [longest.reason if alert.rule == MAX_ETIME and longest else alert.reason for alert in shown]
    return first, [alert.reason for alert in over if alert is not longest]


def resolved_mail(head: Letterhead, alerts: Sequence[Alert], *, now: float, message_id: str) -> Message:
    """The mail that says that these alerts, of which a mail had told, are over."""
    time = local_time(now)
    items = [
        f"{alert.reason} (after {duration(now - alert.since)})" if now > alert.since else alert.reason
        for alert in alerts
    ]
    text = (
        f"Time: {time}\nHost: {head.host}\nUser: {head.user}\n\n"
        f"Config: {head.config}\nResolved:\n{_items(items)}\n"
    )
    details = _details(head, alerts, message_id, html=html.of_ends(head, alerts, now=now))
    text = _stated(head, "resolved", text, MessageKind.RESOLVED)
    subject = _subject(head, alerts, f"resolved: {head.user}@{head.host}  {time}")
    return Message(subject, text, now, message_id, MessageKind.RESOLVED, details)


def digest(
    head: Letterhead, mails: Sequence[Message], *, now: float, message_id: str, late: bool = False
) -> Message:
    """
    One mail in place of several: what each told and when, oldest first, and the last whole.

    They were held back, or are `late` because they could not be sent. What is critical comes first.
    """
    time = local_time(now)
    ordered = sorted(mails, key=lambda mail: mail.details.severity is not Severity.CRITICAL)
    critical = sum(mail.details.severity is Severity.CRITICAL for mail in mails)
    why = "could not be sent before" if late else "were held back, because so many had gone out already"
    text = f"{len(mails)} mails {why}.\n\n" + "\n\n".join(map(_told, ordered)) + f"{THE_LAST}{mails[-1].text}"
    worst = f", {critical} critical" if critical else ""
    subject = f"{PREFIX}digest of {len(mails)} mails{worst}: {head.user}@{head.host}  {time}"
    details = Details(
        html.of_digest(head, [(mail, _points(mail.text)) for mail in ordered], now=now, late=late),
        head.host,
        max((mail.details.severity for mail in mails if mail.details.severity), default=None),
        tuple(dict.fromkeys(rule for mail in mails for rule in mail.details.rules)),
        tuple(dict.fromkeys(number for mail in mails for number in mail.details.incidents)),
    )
    return Message(subject, text, now, message_id, MessageKind.DIGEST, details)


def _told(mail: Message) -> str:
    """What one mail told, in short, with the time at which it was written."""
    if mail.kind is MessageKind.DIGEST:  # what is in it has its own times
        return mail.text.partition(THE_LAST)[0]
    subject, time = mail.subject.removeprefix(PREFIX), local_time(mail.created)
    told = f"{subject if time in subject else f'{subject}  {time}'}\n{_items(_points(mail.text))}"
    _before, heading, output = mail.text.partition(LAST_LINES)
    return f"{told}{heading}{output}".rstrip("\n") if mail.kind is MessageKind.NOTICE else told


def notice_mail(head: Letterhead, notice: Notice, *, now: float, message_id: str) -> Message:
    """The mail that tells what was asked for; the time is that at which it came about."""
    time = local_time(notice.at)
    sections = [
        f"Time: {time}\nHost: {head.host}\nUser: {head.user}",
        f"Config: {head.config}\nTold as you asked:\n{_items([notice.text, *notice.details])}",
    ]
    subject = f"{PREFIX}{notice.title}: {head.user}@{head.host}  {time}"
    details = Details(html.of_notice(head, notice), head.host, notice.severity)
    output = LAST_LINES + "\n".join(f"  {line}" for line in notice.output) if notice.output else ""
    text = "\n\n".join(sections) + f"{output}\n"
    return Message(subject, text, now, message_id, MessageKind.NOTICE, details)


def dry_run(message: Message) -> str:
    """What `check --dry-run` prints."""
    return f"=== DRY RUN (not sending) ===\n{message.subject}\n-----------------------------\n{message.text}"


def _details(
    head: Letterhead,
    alerts: Sequence[Alert],
    message_id: str,
    *,
    html: str,
    reminder: bool = False,
) -> Details:
    names = [name for name, _ in _threads(alerts) if name != message_id]
    worst_first = sorted(alerts, key=lambda alert: -alert.severity)
    return Details(
        html=html,
        host=head.host,
        severity=worst_first[0].severity if worst_first else None,
        rules=tuple(dict.fromkeys(alert.rule for alert in alerts)),
        incidents=tuple(alert.id for alert in alerts if alert.id),
        subjects=tuple(each.subject for each in worst_first if each.subject),
        replies_to=(*names[:1], *names[1:][-MOST_THREADS:]),
        reminder=reminder,
    )


def _threads(alerts: Iterable[Alert]) -> list[tuple[str, float]]:
    """The first mails about these incidents, oldest first."""
    found = {alert.thread for alert in alerts if alert.thread is not None}
    return sorted(found, key=lambda thread: (thread[1], thread[0]))


def _subject(head: Letterhead, alerts: Sequence[Alert], own: str) -> str:
    """The mail's own subject; where mail programs are to put an incident in one thread, its first mail's."""
    threads = _threads(alerts)
    if not head.threading or not threads:
        return f"{PREFIX}{own}"
    return f"{PREFIX}{head.user}@{head.host}  {local_time(threads[0][1])}"


def _stated(head: Letterhead, state: str, text: str, kind: MessageKind) -> str:
    """The text; with the state in its first line, where the subject does not tell it."""
    stated = head.threading and kind is not MessageKind.TEST
    return f"State: {state}\n{text}" if stated else text


def _points(text: str) -> list[str]:
    """The items of a mail's lists."""
    return [line[2:] for line in text.splitlines() if line.startswith("- ")]


def _items(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
