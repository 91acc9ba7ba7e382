"""A menu row, the action of a click on it, and the few forms of rows."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar, overload

from msgspec import Struct, field

from gpuwatch_tray.tray.menu import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from gpuwatch_tray.model import Snapshot


TOOLTIP_COLUMNS = 100  # also of a row to read


Item = TypeVar("Item")


class LazyRows(Sequence[Item]):
    """
    The rows of a list, at least one, built by `make(*given)` when they are looked at.

    A machine has hundreds of processes, of which somebody opens one. Lists of equal `given` are equal.
    """

    def __init__(self, make: Callable[..., Sequence[Item]], *given: object) -> None:
        self._make = make
        self._given = given

    @cached_property
    def _rows(self) -> Sequence[Item]:
        return self._make(*self._given)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LazyRows) and (self._make, self._given) == (other._make, other._given)

    def __hash__(self) -> int:
        return hash(self._make)

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Item]: ...
    def __getitem__(self, place: int | slice) -> Item | Sequence[Item]:
        return self._rows[place]

    def __len__(self) -> int:
        return len(self._rows)


class ActionKind(Enum):
    """What a click on a row asks for; the comment names the action's target."""

    CHECK_NOW = "check now"
    SHOW_DETAILS = "show the details"
    TEST_ALERT = "send a test alert"
    ACKNOWLEDGE = "acknowledge"  # fingerprint
    SNOOZE = "snooze an alert for an hour"  # fingerprint
    SNOOZE_ALL = "snooze all for an hour"
    SNOOZE_TOMORROW = "snooze all until tomorrow"
    RESUME = "resume"
    COPY_PID = "copy the PID"  # text to copy
    COPY_COMMAND = "copy the command"  # text to copy
    END = "end a process"  # PID:IDENTITY
    KILL = "kill a process"  # PID:IDENTITY
    WHEN_FREE = "tell when GPUs are free"  # number of GPUs
    WHEN_ENDS = "tell when a process ends"  # PID:IDENTITY
    WHEN_CANCEL = "tell no longer"  # reminder's number
    AUTOSTART = "start at login"  # on or off
    OPEN_SETTINGS = "open the settings"  # file
    OPEN_LOG = "open the log"  # file
    SET_UP_MAIL = "set up email"
    ASK_HOST = "ask a host of the lab"  # host
    COPY_SSH = "copy the ssh command"  # text to copy
    LAB_ACKNOWLEDGE = "acknowledge an alert of the lab"  # fingerprint
    LAB_SNOOZE = "snooze an alert of the lab"  # fingerprint
    LAB_SILENCE = "silence an alert for everyone"  # the Alertmanager's fingerprint
    LAB_EXPIRE = "end a silence for everyone"  # the silence's id
    LAB_WHEN_FREE = "tell when GPUs of the lab are free"  # their number; with a + over several hosts
    LAB_WHEN_CANCEL = "tell no longer of the lab"  # reminder's number
    OPEN_LINK = "open a page of the lab"  # address
    QUIT = "quit"


class MenuAction(Struct, frozen=True):
    """An action and its target, which is never printed: it may be a command line with its secrets."""

    kind: ActionKind
    target: str = ""

    def __repr__(self) -> str:
        return f"MenuAction({self.kind})"


class MenuRow(Struct, frozen=True):
    """
    One row of the menu.

    `subject` names what the row is about wherever it stands (a process may move to another submenu), `covers`
    what it stands for without a row of its own.
    `gone` is put before the label when the subject ends while the menu is open. A `filler` stands in an empty
    list and leaves with the first row that comes.
    `ticked` is None for a row without a check mark. `opening` is asked for whenever the list below opens,
    where the host of the menu tells that.
    """

    key: str
    label: str = ""
    action: MenuAction | None = None
    enabled: bool = True
    children: Sequence[MenuRow] = ()
    subject: str = ""
    covers: Collection[str] = ()
    gone: str = ""
    filler: bool = False
    ticked: bool | None = None
    opening: MenuAction | None = None

    @property
    def separator(self) -> bool:
        """Whether this is a separating line."""
        return not self.label


class HostDetail(Struct, frozen=True):
    """What a host of the lab has told GPU by GPU at `at` (wall time); no snapshot while it is asked."""

    at: float
    snapshot: Snapshot | None = None


class LabExtras(Struct, frozen=True):
    """
    What the menu shows beside the lab's status.

    `details` are the hosts that were asked, by name; `links` have a title and a configured address each;
    `may_silence` says that alerts may be silenced for everyone from here, `looks_free` that GPUs which only
    look free count as well.
    """

    details: Mapping[str, HostDetail] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()
    may_silence: bool = False
    looks_free: bool = False


class MenuExtras(Struct, frozen=True):
    """
    What the menu shows beside the status.

    `unresponsive` are the processes (PID, identity) that were asked to end and did not; `about` are further
    lines of About; an empty `settings_file` or `log_file` has no row; `autostart` is the start at login,
    `without_mail` says that nobody is mailed, though somebody could be.
    """

    unresponsive: frozenset[tuple[int, str]] = frozenset()
    settings_file: str = ""
    about: tuple[str, ...] = ()
    log_file: str = ""
    autostart: bool = False
    without_mail: bool = False
    lab: LabExtras = LabExtras()


def text_row(key: str, label: str) -> MenuRow:
    """Return a row to read: one line of bounded length."""
    return MenuRow(key, labels.clip(label, TOOLTIP_COLUMNS) or "?", enabled=False)


def text_rows(key: str, words: str) -> list[MenuRow]:
    """Return a text to read in full, on several rows."""
    return [
        MenuRow(f"{key}:{place}", line, enabled=False)
        for place, line in enumerate(labels.wrap(labels.clip(words, 1000)) or ["?"])
    ]


def action_row(
    key: str,
    label: str,
    kind: ActionKind,
    target: str = "",
    *,
    enabled: bool = True,
    ticked: bool | None = None,
) -> MenuRow:
    """Return a row whose click asks for an action."""
    return MenuRow(key, label, MenuAction(kind, target), enabled=enabled, ticked=ticked)


def offered_rows(offered: Collection[ActionKind], *rows: MenuRow) -> list[MenuRow]:
    """Return those of `rows` whose action is offered."""
    return [row for row in rows if row.action is not None and row.action.kind in offered]


def submenu(key: str, label: str, rows: Iterable[MenuRow]) -> list[MenuRow]:
    """Return a submenu of choices; nothing where there is none to choose."""
    children = tuple(rows)
    if not any(row.action is not None for row in children):
        return []
    return [MenuRow(key, label, children=children)]


def unique_rows(rows: Iterable[MenuRow]) -> list[MenuRow]:
    """Return the rows without repeated keys: a source may report a thing twice."""
    return list({row.key: row for row in rows}.values())
