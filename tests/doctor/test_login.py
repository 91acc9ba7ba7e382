"""What is said of the start at login."""

from __future__ import annotations

import pytest

from gpuwatch_tray.desktop.autostart import AutostartError, LoginEntry, LoginItem
from gpuwatch_tray.doctor.checks import check_login


class LoginRegistry:
    where = "/home/ada/.config/autostart/gpuwatch-tray.desktop"

    def __init__(self, entry):
        self.entry = entry

    def read(self):
        if isinstance(self.entry, Exception):
            raise self.entry
        return self.entry


@pytest.mark.parametrize(
    ("entry", "state", "said"),
    [
        (None, "ok", "off"),
        (("/bin/sh",), "ok", "on: /bin/sh"),
        (("/bin/sh", "--verbose"), "ok", "on: "),  # what a person added is theirs
        (("/bin/ls",), "warning", "another installation"),
        (("/nowhere/gpuwatch-tray",), "problem", "is gone"),
        (AutostartError("cannot be read"), "problem", "cannot be read"),
    ],
)
def test_how_it_stands(entry, state, said):
    """On, off, another installation's, gone with its program, not to be read."""
    registry = LoginRegistry(LoginEntry(entry) if isinstance(entry, tuple) else entry)
    (line,) = check_login(lambda: LoginItem(registry, ("/bin/sh",)))
    assert (line.state.value, said in line.text) == (state, True)


def test_what_somebody_switched_off_is_no_problem():
    """The desktop's own switch is a decision."""
    registry = LoginRegistry(LoginEntry(("/nowhere",), switched_off="Task Manager"))
    (line,) = check_login(lambda: LoginItem(registry, ("/bin/sh",)))
    assert (line.state.value, "Task Manager" in line.text) == ("ok", True)
