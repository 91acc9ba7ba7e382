"""The doctor on a desktop: who shows icons and popups, who tells of the person, and what does not answer."""

from __future__ import annotations

import json
import socket
import time

import pytest

from gpuwatch_tray.doctor import CheckState
from gpuwatch_tray.doctor.environment import check_desktop
from tests.driver.scenario import FakeGpu, Scenario
from tests.e2e import rig
from tests.e2e.peers import FakeServer
from tests.support.installed import Installed
from tests.support.timing import slowness

pytestmark = pytest.mark.desktop


def lines(environ, program="panel"):
    """Return the doctor's lines by topic; every process is called `program`."""
    return {line.topic: line for line in check_desktop(environ, 300.0, lambda _: program)}


@pytest.mark.driver
def test_a_whole_desktop_is_well(desk, tmp_path):
    """On a real panel, with a real popup daemon and a driver, nothing is a problem, and all are named."""
    installed = Installed(tmp_path, desk.environment | {"HOME": str(tmp_path)})
    installed.play(Scenario(gpus=[FakeGpu.numbered(0)]))
    installed.configure(TO_EMAIL="")
    done = installed.run("doctor", "--json")
    answer = json.loads(done.stdout)
    found = {line["topic"]: line for line in answer["lines"]}
    assert (done.returncode, answer["schema"], answer["state"]) == (0, 1, "warning")
    assert "by xfce4-panel (PID " in found["tray"]["text"]
    assert found["popups"]["text"].startswith("dunst ")
    assert "actions" in found["popups"]["text"]
    assert found["presence"]["state"] == "ok"
    assert found["presence"]["text"].startswith("present: ")
    assert found["driver"]["text"] == "library 550.54.14, 1 GPU"
    assert {topic for topic, line in found.items() if line["state"] != "ok"} == {"mail"}


@pytest.mark.parametrize(
    ("program", "named"),
    [("panel-6-systray", "xfce4-panel"), ("wrapper-2.0", "xfce4-panel"), ("lxqt-panel", "lxqt-panel")],
)
def test_the_panel_is_named_as_people_know_it(desk, program, named):
    """The process of an XFCE panel's plugin has a name of its own, and another since XFCE 4.20."""
    assert lines(desk.environment, program)["tray"].text.startswith(f"tray icons are shown by {named} (PID ")


def test_a_desktop_without_a_panel(address):
    """Nobody shows icons: a problem with what to install; no popups: a warning."""
    found = lines({"DISPLAY": ":94", "DBUS_SESSION_BUS_ADDRESS": address, "XDG_CURRENT_DESKTOP": "GNOME"})
    assert found["tray"].state is CheckState.PROBLEM
    assert "AppIndicator" in found["tray"].mend
    assert found["popups"].state is CheckState.WARNING
    assert found["presence"].state is CheckState.WARNING


def test_no_desktop_is_no_problem(address):
    """Over SSH there is nothing to draw on, with or without a bus."""
    for environ in ({"SSH_TTY": "/dev/pts/0"}, {"DBUS_SESSION_BUS_ADDRESS": address}):
        found = lines(environ)
        assert {line.state for line in found.values()} == {CheckState.OK}
        assert "in the terminal" in found["tray"].text


def test_a_bus_that_does_not_answer(tmp_path):
    """A socket that takes the connection and says nothing costs seconds, not the doctor."""
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "bus"))
        deaf.listen()
        began = time.monotonic()
        found = lines({"DISPLAY": ":94", "DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path / 'bus'}"})
        assert time.monotonic() - began < 12 * slowness()
    assert found["tray"].state is CheckState.WARNING
    assert "did not answer within 3 s" in found["tray"].text


def test_a_daemon_without_buttons_is_a_warning(address, client):
    """What the popups lack, the menu has; that it does not tell its name is no harm."""
    client.serve("/org/freedesktop/Notifications", FakeServer(["body"]), rig.NOTIFICATIONS)
    found = lines({"DISPLAY": ":94", "DBUS_SESSION_BUS_ADDRESS": address})
    assert found["popups"].state is CheckState.WARNING
    assert "shows no buttons" in found["popups"].text
