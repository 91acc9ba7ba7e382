"""One row of the menu and what a click on it asks for; and the few forms that rows come in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from gpuwatch_tray.tray import text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MAX_COLUMNS = 100  # columns of a free-text row


class ActionKind(Enum):
    """What a click on a row asks for; in brackets, what the deed's target then is."""

    CHECK_NOW = "check now"
    SHOW_DETAILS = "show the details"
    TEST_ALERT = "send a test alert"
    ACKNOWLEDGE = "acknowledge"  # (the alert's fingerprint)
    SNOOZE = "snooze an alert for an hour"  # (the alert's fingerprint)
    SNOOZE_ALL = "snooze all for an hour"
    SNOOZE_TOMORROW = "snooze all until tomorrow"
    RESUME = "resume"
    COPY_PID = "copy the PID"  # (the text to copy)
    COPY_COMMAND = "copy the command"  # (the text to copy)
    END = "end a process"  # (PID:IDENTITY)
    KILL = "kill a process"  # (PID:IDENTITY)
    WHEN_FREE = "tell when GPUs are free"  # (how many)
    WHEN_ENDS = "tell when a process ends"  # (PID:IDENTITY)
    WHEN_CANCEL = "tell no longer"  # (the number of what is waited for)
    AUTOSTART = "start at login"  # (on or off)
    OPEN_SETTINGS = "open the settings"  # (the file)
    OPEN_LOG = "open the log"  # (the file)
    QUIT = "quit"


@dataclass(frozen=True, slots=True)
class MenuAction:
    """One thing to do. The target may be one's own command line with its secrets, so it is never printed."""

    kind: ActionKind
    target: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class MenuRow:
    """
    One row of the menu.

    `subject` names what the row is about wherever it stands (a process may move to another submenu).
    `gone` is what is put before the label, if anything, when the subject has ceased while the menu is open.
    An `urgent` row is shown at once, also in an open menu. A `filler` stands for a list's emptiness: it
    leaves with the first row that comes. `ticked` is None for a row that cannot bear a tick.
    """

    key: str
    label: str = ""
    action: MenuAction | None = None
    enabled: bool = True
    children: tuple[MenuRow, ...] = ()
    subject: str = ""
    gone: str = ""
    urgent: bool = False
    filler: bool = False
    ticked: bool | None = None

    @property
    def separator(self) -> bool:
        """Whether it is a line and no row."""
        return not self.label


@dataclass(frozen=True, slots=True)
class MenuExtras:
    """
    What the menu shows beside the status.

    `unresponsive` are the processes (PID, identity) that were asked to end and did not; without a
    `settings_file`, or a `log_file`, there is nothing to open; `about` are further lines of About;
    `autostart` says whether it is started at login.
    """

    unresponsive: frozenset[tuple[int, str]] = frozenset()
    settings_file: str = ""
    about: tuple[str, ...] = ()
    log_file: str = ""
    autostart: bool = False


def text_row(key: str, label: str, *, urgent: bool = False) -> MenuRow:
    """A row to read: free text, on one line of bounded length."""
    return MenuRow(key, text.clip(label, MAX_COLUMNS) or "?", enabled=False, urgent=urgent)


def text_rows(key: str, words: str) -> list[MenuRow]:
    """A text to read in full, on as many rows as it takes, within reason."""
    return [MenuRow(f"{key}:{place}", line, enabled=False) for place, line in enumerate(text.wrap(words))]


def offered_rows(offered: Collection[ActionKind], *rows: MenuRow) -> list[MenuRow]:
    """Those of `rows` whose act is offered here."""
    return [row for row in rows if row.action is not None and row.action.kind in offered]


def submenu(key: str, label: str, rows: Iterable[MenuRow], *, urgent: bool = False) -> list[MenuRow]:
    """A submenu that asks which; nothing where there is nothing to choose."""
    children = tuple(rows)
    if not any(row.action is not None for row in children):
        return []
    return [MenuRow(key, label, children=children, urgent=urgent)]


def unique_rows(rows: Iterable[MenuRow]) -> list[MenuRow]:
    """The rows without those whose key has been before: a source that says a thing twice says it once."""
    return list({row.key: row for row in rows}.values())
