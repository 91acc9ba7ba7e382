"""A popup's buttons as the notification servers take them, and what a click on one means: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Button

if TYPE_CHECKING:
    from collections.abc import Sequence

LABELS = {
    Button.ACKNOWLEDGE: N_("Acknowledge"),
    Button.SNOOZE: N_("Snooze 1 h"),
    Button.SHOW: N_("Show"),
    Button.TEST: N_("Send a test alert"),
    Button.SETTINGS: N_("Open settings"),
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


def meant(action: str, buttons: Sequence[Button]) -> Button | None:
    """Return the button that a click on `action` means; None where it only closes the popup."""
    if action == BODY:
        return next((button for button in BY_BODY if button in buttons), None)
    return next((button for button in buttons if button.value == action), None)
