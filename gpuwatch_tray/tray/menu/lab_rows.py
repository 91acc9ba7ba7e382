"""
The rows of the lab: one's own hosts, those with free GPUs, those that do not answer, its alerts.

At most MAX_HOSTS hosts stand in a list, by name; the details page and `gpuwatch-tray lab` have them all. A
host that is not OK is counted as unknown, never as without free GPUs or without runs of one's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.alerts.lab_reminders import EVERY_HOST, why_never_free
from gpuwatch_tray.alerts.reminder_types import LabGpusFree
from gpuwatch_tray.common import redact
from gpuwatch_tray.common.lab_sums import free_text, mine_text, unread_text
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import HostState, Missing, known
from gpuwatch_tray.model.units import end_time, memory_text, menu_duration
from gpuwatch_tray.rules.lab_rules import REMOTE, blind_text, feed_text, remote_of
from gpuwatch_tray.tray.menu import labels
from gpuwatch_tray.tray.menu.alert_rows import SEVERITIES, acknowledge_row, alert_row
from gpuwatch_tray.tray.menu.host_rows import host_row
from gpuwatch_tray.tray.menu.process_rows import free_label, rest_row
from gpuwatch_tray.tray.menu.row import (
    ActionKind,
    MenuRow,
    action_row,
    offered_rows,
    submenu,
    text_row,
    text_rows,
    unique_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from gpuwatch_tray.model import Alert, HostView, LabStatus, LabView, RemoteAlert
    from gpuwatch_tray.tray.menu.row import LabExtras
    from gpuwatch_tray.tray.menu.shown_hosts import ShownHosts


MAX_REMOTE = 12  # alerts of the Alertmanager beside ours
MAX_NOTES = 6
ASKED_FOR = (1, 2, 4, 8, 16)  # numbers of GPUs that can be waited for


def lab_rows(
    lab: LabStatus, offered: Collection[ActionKind], extras: LabExtras, shown: ShownHosts
) -> list[MenuRow]:
    """Return a row each for one's own hosts, those with free GPUs, and those that do not answer."""
    view = lab.view
    if view is None:
        return [text_row("lab", labels.fit(lab.headline, columns=labels.MAX_COLUMNS))]
    if view.problem is not None:
        words = [redact.text(text) for text in (view.problem.text, view.problem.mend) if text]
        below = [row for place, text in enumerate(words) for row in text_rows(f"lab:problem:{place}", text)]
        label = labels.fit(_("Lab: {text}").format(text=words[0]))
        return [MenuRow("lab", label, children=tuple(below), gone=_("Until now"))]
    if not view.hosts:
        return [text_row("lab", labels.fit(lab.headline, columns=labels.MAX_COLUMNS))]

    def listed(
        key: str, label: str, hosts: Sequence[HostView], say: Callable[[HostView], str],
        size: Callable[[HostView], float], none: str,
    ) -> MenuRow:  # fmt: skip
        some = shown.choose(key, hosts, size)
        rows = [host_row(key, host, say(host), view.at, offered, extras) for host in some]
        rows += rest_row(key, len(hosts) - len(some), offered)
        below = tuple(rows) or (replace(text_row(f"{key}/none", none), gone=_("Until now"), filler=True),)
        return MenuRow(key, labels.fit(label), children=below, gone=_("Until now"))

    mine = [host for host in view.hosts if known(host.mine)]
    free = [host for host in view.hosts if _free_count(host)]
    unread = [host for host in view.hosts if host.state is not HostState.OK]
    rows = [
        listed(
            "lab:mine", mine_text(view.hosts), mine, lambda host: _mine_words(host, view.at),
            lambda host: known(host.mine) or 0, _("No GPU of yours is known"),
        ),
        listed(
            "lab:free", free_text(view.hosts), free, _free_words, _free_count, _("No free GPU is known"),
        ),
    ]  # fmt: skip
    if unread:
        rows.append(
            listed(
                "lab:unread", unread_text(view.hosts), unread,
                lambda host: _unread_words(host, view.at), lambda host: host.since or 0.0, "",
            )
        )  # fmt: skip
    return [*rows, *_note_rows(view, offered)]


def _free_count(host: HostView) -> int:
    return known(host.free_or_looking_so) or 0


def _mine_words(host: HostView, now: float) -> str:
    count = known(host.mine) or 0
    parts = [host.name, ngettext("{count} GPU", "{count} GPUs", count).format(count=count)]
    if not isinstance(host.oldest_start, Missing):
        there = now + (known(host.clock) or 0.0)  # the start is by the host's clock
        parts.append(menu_duration(max(there - host.oldest_start, 0.0)))
    return labels.DOT.join(parts)


def _free_words(host: HostView) -> str:
    free, looks = known(host.free), known(host.looks_free) or 0
    every = known(host.gpus) if isinstance(host.expected, Missing) else host.expected
    if free:
        count = _("{free} of {every} free").format(free=free, every="?" if every is None else every)
    else:
        count = ngettext("{count} looks free", "{count} look free", looks).format(count=looks)
    room = ""
    if free and not isinstance(host.largest_free, Missing):
        room = _("up to {memory}").format(memory=memory_text(host.largest_free))
    return labels.DOT.join(part for part in (host.name, count, room) if part)


def _unread_words(host: HostView, now: float) -> str:
    since = "" if host.since is None else menu_duration(max(now - host.since, 0.0))
    return labels.fit(blind_text(host), f"{labels.DOT}{since}" if since else "", labels.PROCESS_COLUMNS)


# --- notes -----------------------------------------------------------------------------------------------


def lab_troubles(lab: LabStatus) -> tuple[str, ...]:
    """Return the notes that are not about the last reading: a mail that does not leave, and the like."""
    read = () if lab.view is None else lab.view.notes
    return tuple(note for note in lab.notes if note not in read)


def _note_rows(view: LabView, offered: Collection[ActionKind]) -> list[MenuRow]:
    """Return one row for what limits the last reading, or may make it wrong, with all of that below it."""
    notes = tuple(filter(None, (feed_text(view), *view.notes)))
    if not notes:
        return []
    more = f"{labels.DOT}+{len(notes) - 1}" if notes[1:] else ""
    label = labels.fit(_("Note: {text}").format(text=redact.text(notes[0])), more)
    shown = notes[:MAX_NOTES]
    below = [
        row for place, note in enumerate(shown) for row in text_rows(f"lab:note:{place}", redact.text(note))
    ]
    below += rest_row("lab:notes", len(notes) - len(shown), offered)
    return [MenuRow("lab:notes", label, children=tuple(below), gone=_("Until now"))]


# --- alerts -----------------------------------------------------------------------------------------------


def lab_alert_row(
    alert: Alert, lab: LabStatus, offered: Collection[ActionKind], extras: LabExtras
) -> MenuRow:
    """Return an alert of the lab, which is acknowledged and snoozed for oneself, or silenced for everyone."""
    key = f"lab alert:{alert.fingerprint}"
    actions = offered_rows(
        offered,
        acknowledge_row(key, alert, ActionKind.LAB_ACKNOWLEDGE),
        action_row(f"snooze {key}", _("Snooze 2 h for me"), ActionKind.LAB_SNOOZE, alert.fingerprint),
    )
    there = _remote_of(alert, lab)
    silences = [] if there is None else _silences_of(key, there, lab.at, offered, extras)
    if there is not None and not there.silences and extras.may_silence:
        actions += _silence_rows(key, there.fingerprint, offered)
    marks = [_("silenced")] if silences else []
    return alert_row(key, alert, lab.at, [*silences, *actions], marks)


def _remote_of(alert: Alert, lab: LabStatus) -> RemoteAlert | None:
    """Return what the Alertmanager has of one of our alerts; None where it has, or knows, nothing of it."""
    if alert.rule != REMOTE or lab.view is None:
        return None
    fingerprint = remote_of(alert.subject).fingerprint
    return next((one for one in lab.view.alerts if one.fingerprint == fingerprint), None)


def _silences_of(
    key: str, alert: RemoteAlert, now: float, offered: Collection[ActionKind], extras: LabExtras
) -> list[MenuRow]:
    """Return who has silenced the alert and until when; one that was made here can be ended."""
    rows: list[MenuRow] = []
    for silence in alert.silences:
        text = _("silenced by {author} until {time}: {comment}").format(
            author=silence.author, time=end_time(silence.until, now), comment=silence.comment
        )
        rows += text_rows(f"{key}/silence:{silence.id}", redact.text(text))
        if silence.ours and extras.may_silence:
            end = action_row(
                f"{key}/end:{silence.id}",
                _("End this silence for everyone"),
                ActionKind.LAB_EXPIRE,
                silence.id,
            )
            rows += offered_rows(offered, end)
    return rows


def _silence_rows(key: str, fingerprint: str, offered: Collection[ActionKind]) -> list[MenuRow]:
    """Return the submenu that asks once before an alert is silenced for everyone."""
    sure = action_row(
        f"everyone {key}", _("Silence it for everyone now"), ActionKind.LAB_SILENCE, fingerprint
    )
    asks = text_row(f"asks {key}", _("For 2 h, nobody who gets this alert is told of it"))
    choices = [asks, *offered_rows(offered, sure)]
    return submenu(f"silence {key}", _("Silence 2 h for everyone…"), choices)


def remote_rows(lab: LabStatus, offered: Collection[ActionKind], extras: LabExtras) -> list[MenuRow]:
    """Return one row for the Alertmanager's alerts that are not among ours, with who silenced them."""
    if lab.view is None:
        return []
    ours = {remote_of(alert.subject).fingerprint for alert in lab.alerts if alert.rule == REMOTE}
    others = [alert for alert in lab.view.alerts if alert.fingerprint not in ours]
    if not others:
        return []
    others.sort(key=lambda alert: (not alert.silences, -alert.severity, alert.host, alert.name))
    below = [_remote_row(alert, lab.at, offered, extras) for alert in unique_alerts(others)[:MAX_REMOTE]]
    below += rest_row("lab:remote", len(others) - len(below), offered)
    text = _("Other alerts in the Alertmanager: {count}")
    return [MenuRow("lab:remote", text.format(count=len(others)), children=tuple(below))]


def unique_alerts(alerts: Sequence[RemoteAlert]) -> list[RemoteAlert]:
    """Return the alerts without a repeated fingerprint, which alone tells two of them apart."""
    return list({alert.fingerprint: alert for alert in alerts}.values())


def _remote_row(
    alert: RemoteAlert, now: float, offered: Collection[ActionKind], extras: LabExtras
) -> MenuRow:
    key = f"lab:remote/{alert.fingerprint}"
    where = f"{alert.host}: " if alert.host and alert.host not in alert.text else ""
    words = f"{_(SEVERITIES[alert.severity])}: {where}{alert.text or alert.name}"
    mark = labels.DOT + _("silenced") if alert.silences else ""
    rows = text_rows(f"text of {key}", redact.text(words))
    rows += _silences_of(key, alert, now, offered, extras)
    if alert.inhibited:
        rows.append(text_row(f"{key}/inhibited", _("muted there by another alert")))
    label = labels.fit(redact.text(words), mark)
    return MenuRow(key, label, children=tuple(unique_rows(rows)), subject=key, gone=_("Over"))


# --- reminders and links ----------------------------------------------------------------------------------


def lab_pending_rows(lab: LabStatus, offered: Collection[ActionKind]) -> list[MenuRow]:
    """Return a row for each reminder that is waited for in the lab."""
    rows: list[MenuRow] = []
    for reminder in lab.awaited:
        key = f"lab awaited:{reminder.id}"
        text = _("About to notify you: {what}") if reminder.due else _("You will be notified when {what}")
        words = text.format(what=reminder.text)
        cancel = action_row(f"cancel {key}", _("Cancel"), ActionKind.LAB_WHEN_CANCEL, str(reminder.id))
        label = labels.fit(words, columns=labels.PROCESS_COLUMNS) or "?"
        whole = text_rows(f"text of {key}", words) if label != words else []
        below = (*whole, *offered_rows(offered, cancel))
        rows.append(
            MenuRow(key, label, children=below, subject=key, gone=_("No longer"), enabled=bool(below))
        )
    return rows


def lab_free_rows(lab: LabStatus, offered: Collection[ActionKind], *, looks: bool) -> list[MenuRow]:
    """
    Return the numbers of free GPUs that can be waited for in the lab; else a row that says why none can be.

    With `looks`, GPUs count that only look free, and the rows say so.
    """
    view = lab.view
    if view is None or view.problem is not None or ActionKind.LAB_WHEN_FREE not in offered:
        return []
    well = [host for host in view.hosts if host.state is HostState.OK]
    told = [host for host in well if known(host.free) is not None]
    silent = [host for host in well if known(host.free) is None]
    looking = [host for host in silent if looks and known(host.looks_free) is not None]
    counts = list(map(_free_count, (*told, *looking)))
    if not counts:
        never = why_never_free(LabGpusFree(1, 0.0, on=EVERY_HOST, looks=looks), view)
        why = never or _("which GPUs of the lab are free is not known now")
        return text_rows("lab never", why)
    sizes = [known(host.gpus) or 0 for host in (*told, *looking)]
    wanted = _looking_label if not told else _either_label if looking else free_label
    one = [
        _wanted_row(number, wanted, spread=False)
        for number in ASKED_FOR
        if max(counts) < number <= max(sizes)
    ]
    over = [
        _wanted_row(number, wanted, spread=True)
        for number in ASKED_FOR[1:]
        if sum(counts) < number <= sum(sizes)
    ]
    return [
        *submenu("lab one", _("On one host of the lab"), one),
        *submenu("lab over", _("On all hosts of the lab together"), over),
    ]


def _wanted_row(number: int, wanted: Callable[[int], str], *, spread: bool) -> MenuRow:
    target = f"{number}+" if spread else str(number)
    return action_row(f"lab when {target}", wanted(number), ActionKind.LAB_WHEN_FREE, target)


def _looking_label(number: int) -> str:
    return ngettext("{number} GPU looks free", "{number} GPUs look free", number).format(number=number)


def _either_label(number: int) -> str:
    text = ngettext("{number} GPU is free, or looks so", "{number} GPUs are free, or look so", number)
    return text.format(number=number)


def link_rows(offered: Collection[ActionKind], extras: LabExtras) -> list[MenuRow]:
    """Return a row for each page of the lab, at its configured address."""
    return offered_rows(
        offered,
        *(
            action_row(
                f"open {address}", _("Open {title}").format(title=title), ActionKind.OPEN_LINK, address
            )
            for title, address in extras.links
        ),
    )


def lab_line(lab: LabStatus) -> str:
    """Return the line of the tooltip."""
    return _("Lab: {text}").format(text=redact.one_line(lab.headline))
