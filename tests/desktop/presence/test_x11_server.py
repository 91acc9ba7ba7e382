"""A real X server: the time without input grows, and the mouse ends it."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
from Xlib.display import Display  # the other client, which grabs the server

from gpuwatch_tray.desktop.presence import start_detector
from gpuwatch_tray.desktop.presence.detector import DesktopPresence
from gpuwatch_tray.desktop.presence.types import SuspendLog
from gpuwatch_tray.desktop.presence.x11 import XServer
from gpuwatch_tray.model import Presence
from tests.e2e import rig
from tests.support.timing import slowness, wait_until

pytestmark = pytest.mark.desktop

AWAY = 1.0


@pytest.fixture
def watch_display():
    """Make a watcher of a display, asked in quick succession; closed at the end."""
    made = []

    def make(display):
        suspends = SuspendLog()
        made.append(
            DesktopPresence(
                [XServer({"DISPLAY": display}, suspends, interval=0.05, connect_again=0.1)], AWAY, suspends
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def become(watcher, presence):
    """Wait for this presence and return the result."""
    wait_until(lambda: watcher.check().presence is presence, f"{presence}")
    return watcher.check()


def move_mouse(display, place):
    """Move the pointer as a person would."""
    environment = {"PATH": os.environ["PATH"], "DISPLAY": display}
    subprocess.run(["xdotool", "mousemove", *place], env=environment, check=True, timeout=60)


def test_the_mouse_lies_still_and_moves(display):
    """Present, away after the limit, and present again with the first movement: as the tray sees it."""
    watcher = start_detector(None, {"DISPLAY": display}, AWAY, platform="linux", interval=0.05)
    try:
        move_mouse(display, ("10", "10"))
        assert become(watcher, Presence.PRESENT).source == "XScreenSaver"
        assert become(watcher, Presence.AWAY).idle >= AWAY
        move_mouse(display, ("200", "200"))
        assert become(watcher, Presence.PRESENT).idle < AWAY
    finally:
        watcher.close()


def test_a_server_that_goes_and_comes_back(watch_display, tmp_path):
    """The last word goes with the server, and the next one is asked as soon as it is there."""
    number = 90 + os.getpid() % 9 * 100
    command = ["Xvfb", f":{number}", "-screen", "0", "640x480x8", "-nolisten", "tcp", "-noreset"]
    environment = {"PATH": os.environ["PATH"]}
    watcher = watch_display(f":{number}")
    wait_until(lambda: f"display :{number}: " in watcher.sources()[-1], "the reason")
    for _ in range(2):
        with rig.process(command, environment, tmp_path / "xvfb.log"):
            become(watcher, Presence.PRESENT)
        become(watcher, Presence.UNKNOWN)


def test_a_server_that_cannot_tell_says_so(watch_display, tmp_path):
    """Without the extension there is no reading, and a line for the doctor."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-nolisten", "tcp", "-extension", "MIT-SCREEN-SAVER"]
    environment = {"PATH": os.environ["PATH"]}
    with rig.process(command, environment, tmp_path / "xvfb.log", pass_fds=[writing]):
        os.close(writing)
        with os.fdopen(reading) as answer:
            watcher = watch_display(f":{answer.readline().strip()}")
        wait_until(lambda: "lacks the MIT-SCREEN-SAVER extension" in watcher.sources()[-1], "the reason")
        assert watcher.check().presence is Presence.UNKNOWN


def test_a_grabbed_server_keeps_nobody_waiting(watch_display, display):
    """A client may hold the server for itself: looks and the end take no time all the same."""
    watcher = watch_display(display)
    become(watcher, Presence.AWAY)
    other = Display(display)
    other.grab_server()
    other.sync()
    try:
        time.sleep(0.15)  # the next question is under way by now
        began = time.monotonic()
        watcher.check()
        watcher.close()
        assert time.monotonic() - began < 3 * slowness()
    finally:
        other.ungrab_server()
        other.close()


@pytest.mark.parametrize("name", ["nonsense", ":77777", "localhost:10.0", ""])
def test_a_display_that_is_none_is_named(watch_display, name):
    """Whatever DISPLAY holds, the reason is one line and nothing is raised."""
    watcher = watch_display(name)
    wait_until(lambda: f"display {name}: " in watcher.sources()[-1], "the reason")
    assert watcher.check().presence is Presence.UNKNOWN
