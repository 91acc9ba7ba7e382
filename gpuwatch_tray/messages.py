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
from gpuwatch_tray.model import Alert, GpuProcess, Message, MessageKind, Popup, labelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NO_PROCESSES = "<no gpu processes detected>"
UNREADABLE = "<the process list could not be read>"
TITLES = {"gpu_limit": "More GPUs in use than the limit", "max_etime": "A process runs longer than the limit"}
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
    time = datetime.fromtimestamp(now).astimezone().strftime("%Y-%m-%d %H:%M:%S")
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
    """The reasons for "Triggered:" (of each rule the worst, first of equals), and the other reasons."""
    worst: dict[str, Alert] = {}
    for alert in alerts:
        if alert.rule not in worst or alert.value > worst[alert.rule].value:
            worst[alert.rule] = alert
    first = [alert.reason for alert in worst.values()]
    return first, [alert.reason for alert in alerts if alert is not worst[alert.rule]]


def popup(key: str, alerts: Sequence[Alert], host: str, *, simulated: bool) -> Popup:
    """The one popup about `alerts` of one rule in one poll: the worst in full, the others counted."""
    worst = max(alerts, key=lambda alert: (alert.severity, alert.value))
    lines = worst.reason.split(" :: ")
    if len(alerts) > 1:
        lines.append(f"and {len(alerts) - 1} more")
    body = "\n".join(redact.text(line) for line in lines)
    title = f"{TITLES.get(worst.rule, worst.rule)} on {host}"
    return Popup(key, labelled(title, simulated=simulated), body, worst.severity)


def dry_run(message: Message) -> str:
    """What `check --dry-run` prints."""
    return f"=== DRY RUN (not sending) ===\n{message.subject}\n-----------------------------\n{message.text}"


def _items(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
