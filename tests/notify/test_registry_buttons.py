"""What a popup's buttons are to a notification server."""

from __future__ import annotations

import pytest

from gpuwatch_tray.model import Button
from gpuwatch_tray.notify.notification_registry import LABELS, LXQT, XFCE, actions, button_of_action

ALERT = (Button.ACKNOWLEDGE, Button.SNOOZE, Button.SHOW)
NAMED = ["acknowledge", "Acknowledge", "snooze", "Snooze 1 h", "show", "Show"]
BODY = ["default", ""]


@pytest.mark.parametrize(
    ("server", "buttons", "expected"),
    [
        # the order is the popup's, and a click on the body shows
        ("gnome-shell", ALERT, NAMED + BODY),
        ("dunst", ALERT[::-1], [*NAMED[4:], *NAMED[2:4], *NAMED[:2], *BODY]),
        # it would be one more button
        (XFCE, ALERT, NAMED),
        # it would make a combo box of three buttons
        (LXQT, ALERT, NAMED),
        # nothing to show: the body is no button
        ("dunst", ALERT[:2], NAMED[:4]),
        # a lone button would get the clicks on the body, were there nothing else to get them
        ("dunst", (Button.KILL,), ["kill", "End it now", *BODY]),
        (LXQT, (Button.KILL,), ["kill", "End it now", *BODY]),
        (XFCE, (Button.KILL,), ["kill", "End it now"]),
        ("dunst", (), []),
        (LXQT, (), []),
    ],
)
def test_what_each_server_is_offered(server, buttons, expected):
    """Ids and labels in turn, the body's own action last, where the server makes good use of it."""
    assert actions(buttons, server) == expected


def test_every_button_has_a_label_and_means_itself():
    """No button can be added to the model that shows nothing or does nothing."""
    for button in Button:
        assert LABELS[button]
        assert button_of_action(button.value, tuple(Button)) is button


@pytest.mark.parametrize(
    ("action", "buttons", "expected"),
    [
        ("default", ALERT, Button.SHOW),
        ("default", (Button.SIGN_IN,), Button.SIGN_IN),
        ("default", (Button.KILL,), None),  # a popup that is put away ends no process
        ("kill", ALERT, None),  # was not offered
        ("Acknowledge", ALERT, None),
        ("", ALERT, None),
    ],
)
def test_what_a_click_means(action, buttons, expected):
    """Only what the popup offered, and on its body Show, the sign-in or nothing."""
    assert button_of_action(action, buttons) is expected
