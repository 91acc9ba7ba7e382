"""The registry of our popups: their ids, their buttons, and what the server's signals about them mean."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import Button

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.desktop.dbus import Signal
    from gpuwatch_tray.model import Popup


LABELS = {
    Button.ACKNOWLEDGE: N_("Acknowledge"),
    Button.SNOOZE: N_("Snooze 1 h"),
    Button.SHOW: N_("Show"),
    Button.TEST: N_("Send a test alert"),
    Button.SETTINGS: N_("Open settings"),
    Button.SET_UP_MAIL: N_("Set up email…"),
    Button.KILL: N_("End it now"),
    Button.SIGN_IN: N_("Sign in again"),
}
BY_BODY = (Button.SHOW, Button.SIGN_IN)  # what a click on the popup itself may mean: nothing is lost by it
BODY = "default"  # the action of a click on the popup itself
UNNAMED = ""  # as GIO sends it: a server that would draw the body's action as a button too leaves it out

XFCE = "Xfce Notify Daemon"  # never takes a click on the body, and may draw a button for it
LXQT = "lxqt-notificationd"  # makes a combo box of four actions, and of a lone one the body's


def actions(buttons: Sequence[Button], server: str) -> list[str]:
    """
    Return the `actions` of a Notify call to the server of this name: ids and labels in turn.

    The body's own action is offered for Show. It is also offered beside a single button, for some servers
    take a click on the body for a click on that: a popup that is only put away must not end a process.
    """
    offered = [text for button in buttons for text in (button.value, _(LABELS[button]))]
    alone = len(buttons) == 1
    wanted = alone or (Button.SHOW in buttons and server != LXQT)
    if wanted and server != XFCE:
        offered += [BODY, UNNAMED]
    return offered


def button_of_action(action: str, buttons: Sequence[Button]) -> Button | None:
    """Return the button that a click on `action` means; None where it only closes the popup."""
    if action == BODY:
        return next((button for button in BY_BODY if button in buttons), None)
    return next((button for button in buttons if button.value == action), None)


LATE_CLICK = 2.0  # seconds after NotificationClosed in which a click still counts: awesome sends it second
JUST_SHOWN = 1.0  # seconds in which the same text is not shown again


class ShownPopup(Struct, frozen=True):
    """A popup on the screen: its notification id, with the buttons that it really has, and since when."""

    number: int
    popup: Popup
    at: float


class Click(Struct, frozen=True):
    """A click on one of our popups, which is over by it; `button` is None where it was only put away."""

    key: str
    number: int
    button: Button | None


class NotificationRegistry:
    """
    The popups that are on the screen, by key; safe from any thread.

    Signals about a new popup may come before its id is recorded: they are kept until then.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._owner = ""
        self._shown: dict[str, ShownPopup] = {}
        self._gone: dict[int, ShownPopup] = {}  # by id; `at` is when they went
        self._early: list[Signal] | None = None  # while one is being shown

    @property
    def owner(self) -> str:
        """The unique name of the present server; empty for none, or not yet known."""
        with self._lock:
            return self._owner

    def find(self, key: str) -> ShownPopup | None:
        """Return the popup of this key, if it is on the screen."""
        with self._lock:
            return self._shown.get(key)

    def just_shown(self, popup: Popup) -> bool:
        """Return whether exactly this one came up within the last second and is still there."""
        entry = self.find(popup.key)
        return entry is not None and entry.popup == popup and self._clock() - entry.at < JUST_SHOWN

    def shown_keys(self) -> tuple[str, ...]:
        """Return the keys of the popups that are on the screen."""
        with self._lock:
            return tuple(self._shown)

    def forget(self, key: str) -> int | None:
        """Forget the popup of this key; the id that it had."""
        with self._lock:
            entry = self._shown.pop(key, None)
        return None if entry is None else entry.number

    def withdraw(self, key: str) -> int | None:
        """Forget the popup of this key, save for a click on its way; the id that it had."""
        with self._lock:
            entry = self._shown.get(key)
            if entry is not None:
                self._close(entry.number)
        return None if entry is None else entry.number

    def forget_all(self) -> tuple[int, ...]:
        """Forget all popups; the ids that they had."""
        with self._lock:
            shown, self._shown = self._shown, {}
        return tuple(entry.number for entry in shown.values())

    def begin_showing(self) -> str:
        """Keep the signals from now on, as a popup is about to be shown; the present server's name."""
        with self._lock:
            self._early = []
            return self._owner

    def end_showing(self) -> None:
        """Drop the signals that were kept: the popup is shown, or could not be."""
        with self._lock:
            self._early = None

    def record(self, popup: Popup, number: int, owner: str) -> Click | None:
        """Note that `owner` (see `begin_showing`) shows the popup; a click on it that came meanwhile."""
        with self._lock:
            early, self._early = self._early or [], None
            # a server that was only just started by the call has no former owner to confuse it with
            if owner and self._owner != owner:
                return None
            self._gone.pop(number, None)
            self._shown[popup.key] = ShownPopup(number, popup, self._clock())
            clicks = [self._interpret(signal) for signal in early if signal.body[0] == number]
        return next(filter(None, clicks), None)

    def owner_changed(self, owner: str) -> None:
        """Forget all, as there is another server, or none: the ids mean nothing to it."""
        with self._lock:
            if owner != self._owner:
                self._owner = owner
                self._shown.clear()
                self._gone.clear()
                self._early = None if self._early is None else []

    def observe(self, signal: Signal) -> Click | None:
        """Take note of NotificationClosed and ActionInvoked; a click, if it was one of ours."""
        with self._lock:
            # GNOME's shell says it all once more under a name of its own
            if signal.sender != self._owner or [type(part) for part in signal.body[:1]] != [int]:
                return None
            number = signal.body[0]
            if self._early is not None and self._key(number) is None and number not in self._gone:
                self._early.append(signal)
                return None
            return self._interpret(signal)

    def _interpret(self, signal: Signal) -> Click | None:
        """Interpret a signal about one of our ids; the lock is held."""
        match (signal.member, *signal.body):
            case ("NotificationClosed", int(number), _):
                self._close(number)
            case ("ActionInvoked", int(number), str(action)):
                return self._click(number, action)
        return None

    def _close(self, number: int) -> None:
        """Forget the id, which the server may give to somebody else, save for a click on its way."""
        now = self._clock()
        self._gone = {old: entry for old, entry in self._gone.items() if now - entry.at < LATE_CLICK}
        if (key := self._key(number)) is not None:
            self._gone[number] = ShownPopup(number, self._shown.pop(key).popup, now)

    def _click(self, number: int, action: str) -> Click | None:
        """End the popup by the click, so that a server which tells it twice is heard once."""
        if (key := self._key(number)) is not None:
            entry = self._shown.pop(key)
        elif number in self._gone:
            entry = self._gone.pop(number)
            if self._clock() - entry.at >= LATE_CLICK:
                return None
        else:
            return None
        return Click(entry.popup.key, number, button_of_action(action, entry.popup.buttons))

    def _key(self, number: int) -> str | None:
        return next((key for key, entry in self._shown.items() if entry.number == number), None)
