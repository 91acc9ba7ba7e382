"""The lines of `watch`: what is new, what goes on since before and what is over, each told once; pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray import i18n
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import LEVELS, Level, labelled
from gpuwatch_tray.model.units import duration, end_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.model import Alert, Status


class News(Enum):
    """What a line is about: the word in front of it, which for `STATE` is the state itself."""

    NEW = N_("new")
    ONGOING = N_("still")  # it fired before the watch began
    CHANGED = N_("change")
    OVER = N_("over")
    STATE = N_("state")
    NOTE = N_("note")
    NOTICE = N_("notice")  # a reminder is due


class WatchLine(Struct, frozen=True):
    """One line, without its time."""

    news: News
    text: str
    level: Level  # gives the colour

    @property
    def word(self) -> str:
        """The word in front of the text."""
        return i18n.translate_key(self.level.name.lower()) if self.news is News.STATE else _(self.news.value)


class WatchLog:
    """Compares each status with those before; has no clock but the statuses' own."""

    def __init__(self) -> None:
        self._alerts: dict[str, Alert] = {}
        self._state: tuple[Level, str] | None = None
        self._notes: frozenset[str] = frozenset()
        self._due: frozenset[int] = frozenset()
        self._began = False

    def compare(self, status: Status) -> list[WatchLine]:
        """Return the lines for what has changed; nothing where only numbers have."""
        simulated = status.snapshot is not None and status.snapshot.simulated
        lines: list[WatchLine] = []
        if self._began or status.snapshot is not None:  # before the first reading there is nothing to tell
            lines = [*self._alert_lines(status), *self._state_lines(status)]
        self._began = True
        lines = [WatchLine(line.news, labelled(line.text, simulated=simulated), line.level) for line in lines]
        notes = [note for note in status.notes if note not in self._notes]
        lines += [WatchLine(News.NOTE, note, Level.SNOOZED) for note in notes]
        due = {reminder.id: reminder.text for reminder in status.awaited if reminder.due}
        lines += [WatchLine(News.NOTICE, due[key], Level.OK) for key in sorted(due.keys() - self._due)]
        self._notes, self._due = frozenset(status.notes), frozenset(due)
        return lines

    def _alert_lines(self, status: Status) -> Iterator[WatchLine]:
        first = not any((self._alerts, self._state))
        current = {alert.fingerprint: alert for alert in status.alerts}
        for fingerprint, alert in current.items():
            before = self._alerts.get(fingerprint)
            severity = i18n.translate_key(alert.severity.name.lower())
            text = _("{severity}: {text}").format(severity=severity, text=alert.message)
            level = LEVELS[alert.severity]
            if before is None or before.since != alert.since:
                yield WatchLine(News.ONGOING if first and alert.since < status.at else News.NEW, text, level)
            elif alert.severity > before.severity:
                yield WatchLine(News.NEW, text, level)
            else:
                yield from _changes(before, alert, status.at)
        for fingerprint, alert in self._alerts.items():
            if fingerprint not in current:
                lasted = duration(status.at - alert.since)
                text = _("{text} (it lasted {duration})").format(text=alert.message, duration=lasted)
                yield WatchLine(News.OVER, text, Level.OK)
        self._alerts = current

    def _state_lines(self, status: Status) -> Iterator[WatchLine]:
        """Tell the state where no alert's own line does; its counts alone make no line."""
        state = (status.level, status.headline)
        before, self._state = self._state, state
        loud = any(alert.snoozed_until is None for alert in status.alerts)
        if loud and status.level is not Level.NO_DATA:
            return
        if (
            before is None
            or before[0] is not status.level
            or (status.level is Level.NO_DATA and before != state)
        ):
            yield WatchLine(News.STATE, status.headline, status.level)


def _changes(before: Alert, alert: Alert, now: float) -> Iterator[WatchLine]:
    """Yield what a person or a pause of the condition has changed about an alert that fires on."""
    level = Level.SNOOZED if alert.acknowledged or alert.snoozed_until else LEVELS[alert.severity]
    changes = []
    if alert.acknowledged and not before.acknowledged:
        changes.append(_("acknowledged"))
    if alert.snoozed_until is not None and alert.snoozed_until != before.snoozed_until:
        changes.append(_("snoozed until {time}").format(time=end_time(alert.snoozed_until, now)))
    if alert.snoozed_until is None and before.snoozed_until is not None:
        changes.append(_("no longer snoozed"))
    for change in changes:
        text = _("{change}: {text}").format(change=change, text=alert.message)
        yield WatchLine(News.CHANGED, text, level)
