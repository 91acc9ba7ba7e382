"""
Panels played in one thread, with the habits of the real ones, at a DBusMenu without a bus.

Each keeps its own view of the menu, as it last fetched it or was told; signals wait in an inbox, so that a
hand may click on what is no longer true. `LXQT` is libdbusmenu-qt, `PLASMA` its descendant, `GTK` is
libdbusmenu-gtk (xfce4-panel, waybar), `GNOME` the AppIndicator extension.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dbus_fast import DBusError, Variant  # the tests speak the protocol too

from gpuwatch_tray.tray.backends.dbusmenu import DBusMenu
from gpuwatch_tray.tray.backends.menu_host import ROOT


class Loop:
    """An event loop's clock and timers, moved by hand."""

    def __init__(self):
        self.now = 0.0
        self._timers: list[Any] = []
        self._count = itertools.count()

    def time(self):
        return self.now

    def call_at(self, when, job, *arguments):
        timer = Timer(partial(job, *arguments))
        heapq.heappush(self._timers, (when, next(self._count), timer))
        return timer

    def call_later(self, delay, job, *arguments):
        return self.call_at(self.now + delay, job, *arguments)

    def call_soon(self, job, *arguments):
        return self.call_at(self.now, job, *arguments)

    def pass_(self, seconds):
        """Let time pass, and run what is due."""
        until = self.now + seconds
        while self._timers and self._timers[0][0] <= until:
            when, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, when)
            timer.job()
        self.now = until


@dataclass
class Timer:
    job: Any

    def cancel(self):
        self.job = lambda: None


class Menu(DBusMenu):
    """The served menu with its signals put into `sent` instead of a socket."""

    def __init__(self, loop):
        super().__init__(loop)
        self.sent: list[tuple[Any, ...]] = []
        self.before_answer = 0  # signals sent before the last answer
        self.on_layout = lambda _parent: None

    def items_properties_updated(self, updated, removed):
        assert removed == []
        plain = {row: {name: value.value for name, value in values.items()} for row, values in updated}
        self.sent.append(("properties", plain))

    def layout_updated(self, revision, parent):
        self.on_layout(parent)
        self.sent.append(("layout", revision, parent))

    def ask(self, member, *body):
        """Call a method as the bus does; None for an error reply."""
        method = getattr(DBusMenu, member).__dict__["__DBUS_METHOD"].fn
        try:
            answer = method(self, *body)
        except DBusError:
            answer = None
        self.before_answer = len(self.sent)
        self._loop.pass_(0.0)
        return answer


@dataclass(frozen=True)
class Habits:
    """What tells one panel from another."""

    name: str
    reports_opening: bool  # of the root's opening and closing
    whole: bool  # it fetches everything at once
    asks_first: bool = True
    skips: bool = False  # libdbusmenu-qt: a LayoutUpdated after a fetch at an answer
    renews: bool = False  # ... and fetches all that is below again
    click_first: bool = True
    grows: bool = True  # an open menu makes room for another row


LXQT = Habits("lxqt-panel", reports_opening=True, whole=False, skips=True, renews=True)
PLASMA = Habits("Plasma", reports_opening=True, whole=False, skips=True, click_first=False)
GTK = Habits("xfce4-panel", reports_opening=False, whole=True, grows=False)
GNOME = Habits("GNOME", reports_opening=True, whole=True, asks_first=False)


@dataclass
class Panel:
    """One panel, its view of the menu and what it has on the screen."""

    menu: Menu
    habits: Habits
    shown: dict[int, dict[str, Any]] = field(default_factory=dict)
    below: dict[int, list[int]] = field(default_factory=dict)
    displayed: list[int] = field(default_factory=list)  # the root first; empty while closed
    last_message: float = 0.0
    _skip: set[int] = field(default_factory=set)
    _stale: list[int] = field(default_factory=list)  # to be fetched once there is nothing else to do

    def __post_init__(self):
        self.fetch(ROOT)

    # --- the view -------------------------------------------------------------------------------------

    def visible(self, row):
        """Return the ids of the visible rows of this list."""
        return [one for one in self.below.get(row, []) if self.shown[one].get("visible", True)]

    def is_parent(self, row):
        return self.shown[row].get("children-display") == "submenu"

    def label(self, row):
        return self.shown[row].get("label", "").replace("__", "_")

    def fetch(self, row):
        """GetLayout, and what was sent before its answer."""
        row = ROOT if self.habits.whole else row
        answer = self.menu.ask("get_layout", row, -1 if self.habits.whole else 1, [])
        self._read(self.menu.before_answer)
        if answer is None:
            return
        revision, layout = answer
        assert revision == self.menu.tree.revision
        if self.habits.whole:
            self.shown.clear()
            self.below.clear()
        self._take(layout)
        if not self.habits.whole:
            for child in self.below[row]:
                if self.is_parent(child) and (self.habits.renews or child not in self.below):
                    self.fetch(child) if self.habits.renews else self.below.setdefault(child, [])

    def _take(self, layout):
        row, properties, children = layout
        self.shown[row] = {name: value.value for name, value in properties.items()}
        if self.habits.whole or children or row not in self.below:
            self.below[row] = [child.value[0] for child in children]
        for child in children:
            if self.habits.whole:
                self._take(child.value)
            else:
                properties = child.value[1]
                self.shown[child.value[0]] = {name: value.value for name, value in properties.items()}

    def deliver(self):
        """Read all signals that wait, and fetch what they name."""
        while self.menu.sent or self._stale:
            self._read(len(self.menu.sent))
            stale, self._stale = self._stale, []
            for row in stale:
                if self.habits.whole or row in self.shown:
                    self.fetch(row)

    def _read(self, number):
        sent, self.menu.sent = self.menu.sent[:number], self.menu.sent[number:]
        for signal in sent:
            if signal[0] == "properties":
                for row, values in signal[1].items():
                    if row in self.shown:
                        self.shown[row] |= values
            elif signal[2] in self._skip:
                self._skip.remove(signal[2])
            elif signal[2] not in self._stale:
                self._stale.append(signal[2])

    # --- the hand -------------------------------------------------------------------------------------

    def open(self, row):
        """Show the root, or a submenu of a list on the screen."""
        if not self.habits.asks_first:
            self._event(row, "opened")
        answer = (
            self.menu.ask("about_to_show", row)
            if self.habits.reports_opening
            else self.menu.ask("about_to_show_group", [row])
        )
        self._read(self.menu.before_answer)
        self._record_message()
        yes = row in answer[0] if isinstance(answer, tuple) else bool(answer)
        if yes or not (self.habits.whole or self.below.get(row)):
            self._fetch_at_answer(row)
        if self.habits.asks_first and (self.habits.reports_opening or row != ROOT):
            self._event(row, "opened")
        self.displayed.append(row)
        self.deliver()

    def hover(self, row):
        """Move the pointer over a submenu's row: a GTK panel asks for it, also while it is open."""
        answer = self.menu.ask("about_to_show_group", [row])
        self._read(self.menu.before_answer)
        self._record_message()
        if answer is not None and row in answer[0]:
            self.fetch(row)
        self.deliver()

    def close(self, row=ROOT):
        """Take this list and those below it from the screen."""
        while row in self.displayed:
            last = self.displayed.pop()
            if self.habits.reports_opening or last != ROOT:
                self._event(last, "closed")

    def click(self, row):
        """Click a row on the screen; that closes the menu."""
        if self.habits.click_first:
            self._event(row, "clicked")
            self.close()
        else:
            self.close()
            self._event(row, "clicked")

    def _fetch_at_answer(self, row):
        if self.habits.skips:
            self._skip.add(row)
        self.fetch(row)

    def _event(self, row, kind):
        if self.habits.reports_opening:
            self.menu.ask("event", row, kind, Variant("i", 0), 0)
        else:
            self.menu.ask("event_group", [[row, kind, Variant("i", 0), 0]])
        self._record_message()

    def _record_message(self):
        self.last_message = self.menu._loop.time()
