"""
The mail's words, pure: the Bash tool's subject and body.

Format (from GPU Watchdog's gpu_watch.sh): subject `[GPU Watchdog] user@host  2026-01-07 23:27:48`; body
Time, Host, User, Config, Triggered (a reason a line, behind `- `) and Raw output (the process list).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from gpuwatch_tray import listing, redact
from gpuwatch_tray.language import N_, _, ngettext
from gpuwatch_tray.model import (
    FLAPPING,
    Alert,
    Button,
    GpuProcess,
    Message,
    MessageKind,
    Notice,
    Popup,
    Severity,
    labelled,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_ETIME = "max_etime"
NO_PROCESSES = "<no gpu processes detected>"
UNREADABLE = "<the process list could not be read>"
TITLES = {
    "gpu_limit": N_("More GPUs in use than the limit"),
    "max_etime": N_("A process runs longer than the limit"),
    "gpu_lost": N_("A GPU is lost"),
    "monitor_blind": N_("The GPUs cannot be read"),
    "driver_mismatch": N_("Reboot needed: the NVIDIA driver was replaced"),
    "temperature": N_("A GPU is hot"),
    "temperature_critical": N_("A GPU is dangerously hot"),
    "thermal_throttle": N_("A GPU is slowed down by heat"),
    "hw_slowdown": N_("A GPU is slowed down by its hardware"),
    "power_cap": N_("A GPU is kept down by its power limit"),
    "fan": N_("A fan stands still"),
    "xid_fatal": N_("A GPU has failed"),
    "xid_app": N_("The driver reported an error"),
    "ecc": N_("Memory errors on a GPU"),
    "row_remap": N_("Worn memory on a GPU"),
    "pcie_width": N_("A GPU uses too few PCIe lanes"),
    "hung": N_("A process seems to hang"),
    "idle_holding": N_("GPU memory is held idle"),
    "memory_full": N_("GPU memory is nearly full"),
    "intruder": N_("Somebody else is on your GPU"),
}
BUTTONS = (Button.ACKNOWLEDGE, Button.SNOOZE, Button.SHOW)
MOST_LINES = 5  # alerts that a popup names
LAST_LINES = 3  # of a command's output, in a popup
THE_LAST = "\n\nThe last of them:\n\n"  # in a digest
NOT_TRIGGERED = "TEST_MAIL: force send (no threshold triggered)"


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Who writes: the machine (its short name), the user, and the settings in force."""

    host: str
    user: str
    config: str


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
) -> Message:
    """
    The mail about `alerts`; a test mail may have none.

    `processes` are those that count, `gaps` what could not be read (`rules.gaps`). `now` is wall time and
    printed as local time. Command lines are redacted, save on one's own terminal.
    """
    time = _time(now)
    first, others = triggered(alerts)
    lost = [redact.text(gap) for gap in gaps]
    raw = listing.own_text(tuple(processes), redacted=redacted).rstrip("\n")
    sections = [
        f"Time: {time}\nHost: {head.host}\nUser: {head.user}",
        f"Config: {head.config}\nTriggered:\n{_items(first or [NOT_TRIGGERED])}",
    ]
    if others:
        sections.append(f"Also over MAX_ETIME:\n{_items(others)}")
    if lost:
        sections.append(f"Not readable:\n{_items(lost)}")
    sections.append(f"Raw output:\n{raw or (UNREADABLE if lost else NO_PROCESSES)}\n")
    subject = f"[GPU Watchdog] {head.user}@{head.host}  {time}"
    return Message(subject, "\n\n".join(sections), now, message_id, kind)


def triggered(alerts: Sequence[Alert]) -> tuple[list[str], list[str]]:
    """The reasons for "Triggered:", and those of the processes over MAX_ETIME beside the longest."""
    over = [alert for alert in alerts if alert.rule == MAX_ETIME]
    longest = max(over, key=lambda alert: alert.value, default=None)  # the first of equals
    shown = [alert for alert in alerts if alert.rule != MAX_ETIME or alert is over[0]]
    first = [longest.reason if alert.rule == MAX_ETIME and longest else alert.reason for alert in shown]
    return first, [alert.reason for alert in over if alert is not longest]


def resolved_mail(head: Letterhead, alerts: Sequence[Alert], *, now: float, message_id: str) -> Message:
    """The mail that says that these alerts, of which a mail had told, are over."""
    time = _time(now)
    items = [
        f"{alert.reason} (after {listing.plain_duration(now - alert.since)})"
        if now > alert.since
        else alert.reason
        for alert in alerts
    ]
    text = (
        f"Time: {time}\nHost: {head.host}\nUser: {head.user}\n\n"
        f"Config: {head.config}\nResolved:\n{_items(items)}\n"
    )
    subject = f"[GPU Watchdog] resolved: {head.user}@{head.host}  {time}"
    return Message(subject, text, now, message_id, MessageKind.RESOLVED)


def digest(
    head: Letterhead, mails: Sequence[Message], *, now: float, message_id: str, late: bool = False
) -> Message:
    """
    One mail in place of several: what each told and when, oldest first, and the last whole.

    They were held back, or are `late` because they could not be sent. What is critical comes first.
    """
    time = _time(now)
    ordered = sorted(mails, key=lambda mail: mail.details.severity is not Severity.CRITICAL)
    critical = sum(mail.details.severity is Severity.CRITICAL for mail in mails)
    told = map(_told, ordered)
    why = "could not be sent before" if late else "were held back, because so many had gone out already"
    text = f"{len(mails)} mails {why}.\n\n" + "\n\n".join(told) + f"{THE_LAST}{mails[-1].text}"
    worst = f", {critical} critical" if critical else ""
    subject = f"[GPU Watchdog] digest of {len(mails)} mails{worst}: {head.user}@{head.host}  {time}"
    return Message(subject, text, now, message_id, MessageKind.DIGEST)


def _told(mail: Message) -> str:
    """What one mail told, in short, with the time at which it was written."""
    if mail.kind is MessageKind.DIGEST:  # what is in it has its own times
        return mail.text.partition(THE_LAST)[0]
    title, time = mail.subject.removeprefix("[GPU Watchdog] "), _time(mail.created)
    return f"{title if time in title else f'{title}  {time}'}\n{_items(_points(mail.text))}"


def notice_mail(head: Letterhead, notice: Notice, *, now: float, message_id: str) -> Message:
    """The mail that tells what was asked for; the time is that at which it came about."""
    time = _time(notice.at)
    sections = [
        f"Time: {time}\nHost: {head.host}\nUser: {head.user}",
        f"Config: {head.config}\nTold as you asked:\n{_items([notice.text, *notice.details])}",
    ]
    if notice.output:
        sections.append("Last lines:\n" + "\n".join(f"  {line}" for line in notice.output))
    subject = f"[GPU Watchdog] {notice.title}: {head.user}@{head.host}  {time}"
    return Message(subject, "\n\n".join(sections) + "\n", now, message_id, MessageKind.NOTICE)


def notice_popup(key: str, notice: Notice, host: str, *, simulated: bool) -> Popup:
    """The same as a popup, with the very last lines of a command only."""
    title = labelled(_("{what} on {host}").format(what=notice.title, host=host), simulated=simulated)
    lines = (notice.text, *notice.details, *notice.output[-LAST_LINES:])
    return Popup(key, title, "\n".join(lines), notice.severity)


def popup(key: str, alerts: Sequence[Alert], host: str, *, simulated: bool) -> Popup:
    """The one popup about `alerts` of one rule in one poll: the worst in full, the others counted."""
    worst = max(alerts, key=lambda alert: (alert.severity, alert.value))
    lines = [redact.text(worst.said)]
    if len(alerts) > 1:
        lines.append(_("and {count} more").format(count=len(alerts) - 1))
    if any(alert.raises >= FLAPPING for alert in alerts):
        lines.append(_("It comes and goes: further notices wait until it stays away for a while"))
    what = _(TITLES.get(worst.rule, worst.rule))
    title = labelled(_("{what} on {host}").format(what=what, host=host), simulated=simulated)
    return Popup(key, title, "\n".join(lines), worst.severity, BUTTONS)


def resolved_popup(alerts: Sequence[Alert], host: str, *, simulated: bool) -> Popup:
    """The popup that says that these alerts are over."""
    title = labelled(_("Resolved on {host}").format(host=host), simulated=simulated)
    return Popup("resolved", title, _said(alerts), Severity.INFO)


def away_popup(alerts: Sequence[Alert], firing: int, *, simulated: bool) -> Popup:
    """The one popup for somebody who comes back: what fired meanwhile, and how much of it still does."""
    meanwhile = ngettext(
        "An alert while you were away: {still}", "{count} alerts while you were away: {still}", len(alerts)
    )
    still = _("all over by now") if firing == 0 else _("{count} still firing").format(count=firing)
    title = labelled(meanwhile.format(count=len(alerts), still=still), simulated=simulated)
    worst = max(alert.severity for alert in alerts)
    return Popup("away", title, _said(alerts), worst, (Button.SHOW,))


def dry_run(message: Message) -> str:
    """What `check --dry-run` prints."""
    return f"=== DRY RUN (not sending) ===\n{message.subject}\n-----------------------------\n{message.text}"


def _said(alerts: Sequence[Alert]) -> str:
    """A line each, the first few of many."""
    lines = [redact.text(alert.said) for alert in alerts[:MOST_LINES]]
    rest = len(alerts) - len(lines)
    return "\n".join([*lines, _("and {count} more").format(count=rest)] if rest else lines)


def _time(now: float) -> str:
    return datetime.fromtimestamp(now).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _points(text: str) -> list[str]:
    """The items of a mail's lists."""
    return [line[2:] for line in text.splitlines() if line.startswith("- ")]


def _items(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
