"""swayidle: what its words mean, what becomes of the child, and the real one in a nested sway."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil  # whether the child is gone
import pytest

from gpuwatch_tray.desktop.presence import start_detector
from gpuwatch_tray.desktop.presence.swayidle import ACTIVE, IDLE, SwayIdle, SwayIdleState, swayidle_command
from gpuwatch_tray.desktop.presence.types import Evidence, Moment, SuspendLog, moment
from gpuwatch_tray.model import Presence
from tests.e2e import rig
from tests.support.timing import slowness, wait_until

NOBODY = 65534


def at(awake, slept=0.0):
    return Moment(awake + slept, awake)


class TestWords:
    """The meaning of the words; `away` is 60 s."""

    def setup_method(self):
        self.suspends = SuspendLog()
        self.state = SwayIdleState(60.0, self.suspends)

    def said(self, now):
        self.suspends.observe(now)
        reading = self.state.reading("swayidle", now)
        return None if reading is None else (reading.evidence, reading.idle)

    def test_before_it_has_run_for_the_limit_nothing_is_known(self):
        """Its silence means input only once it would have said otherwise."""
        assert self.said(at(100)) is None
        self.state.start(at(100))
        assert self.said(at(161)) is None
        assert self.said(at(163)) == (Evidence.INPUT, 0)

    def test_idle_and_back(self):
        """Idle since the limit before the word; the next word is input, at once."""
        self.state.start(at(100))
        self.state.record(IDLE, at(170))
        assert self.said(at(175)) == (Evidence.IDLE_AT_LEAST, 65)
        self.state.record(ACTIVE, at(180))
        assert self.said(at(180)) == (Evidence.INPUT, 0)

    def test_after_a_suspend_its_silence_begins_anew(self):
        """The compositor's clock stood still: until the limit has passed awake, nobody is present."""
        self.state.start(at(100))
        self.state.record(IDLE, at(170))
        self.state.record(ACTIVE, at(180))
        assert self.said(at(200)) == (Evidence.INPUT, 0)
        assert self.said(at(205, 30_000)) is None
        assert self.said(at(266, 30_000)) is None
        assert self.said(at(268, 30_000)) == (Evidence.INPUT, 0)

    def test_who_was_idle_before_a_suspend_was_idle_through_it(self):
        """The suspend counts."""
        self.state.start(at(100))
        self.state.record(IDLE, at(170))
        assert self.said(at(175)) == (Evidence.IDLE_AT_LEAST, 65)
        assert self.said(at(176, 1000)) == (Evidence.IDLE_AT_LEAST, 1066)

    def test_a_child_that_ended_says_nothing_any_more(self):
        """Neither its last word nor its silence."""
        self.state.start(at(100))
        self.state.record(IDLE, at(170))
        self.state.stop()
        assert self.said(at(500)) is None

    def test_other_words_mean_nothing(self):
        """Whatever else is printed."""
        self.state.start(at(100))
        self.state.record(b"hello", at(101))
        assert self.said(at(102)) is None


def script(folder, text):
    """Write a program that stands for swayidle."""
    path = folder / "swayidle"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def start_swayidle():
    """Start a source; closed at the end."""
    made = []

    def begin(argv, away=60.0):
        suspends = SuspendLog()
        made.append(SwayIdle(argv, os.environ, away, suspends, first_pause=0.05))
        return made[-1]

    yield begin
    for one in made:
        one.close()


def evidence(source):
    reading = source.reading(moment())
    return reading and reading.evidence


def test_the_child_is_started_again(start_swayidle, tmp_path):
    """It ends without a word twice, as where the compositor lacks the protocol; then it stays and tells."""
    count = tmp_path / "count"
    program = script(
        tmp_path,
        f'echo x >> {count}; [ "$(wc -l < {count})" -lt 3 ] && exit 254; echo idle; exec sleep 60',
    )
    source = start_swayidle([str(program)])
    wait_until(lambda: evidence(source) is Evidence.IDLE_AT_LEAST, "the third child's word")
    assert count.read_text() == "x\n" * 3


def test_a_program_that_cannot_be_started_is_named(start_swayidle, tmp_path):
    """In the line for the doctor; nothing is raised."""
    source = start_swayidle([str(tmp_path / "nothing")])
    wait_until(lambda: "cannot be started" in source.state(), "the reason")
    assert source.reading(moment()) is None


@pytest.mark.parametrize("trap", ["", "trap '' TERM;"])
def test_the_child_ends_with_the_watch(start_swayidle, tmp_path, trap):
    """Within half a second, also where it does not listen; and no other is started."""
    mark = tmp_path / "pid"
    program = script(
        tmp_path, f"{trap} echo $$ > {mark}.new; mv {mark}.new {mark}; while :; do sleep 0.05; done"
    )
    source = start_swayidle([str(program)])
    wait_until(mark.exists, "the child")
    child = psutil.Process(int(mark.read_text()))
    mark.unlink()
    began = time.monotonic()
    source.close()
    assert time.monotonic() - began < 3 * slowness()
    wait_until(lambda: not child.is_running(), "its end")
    time.sleep(0.2)
    assert not mark.exists()


def test_the_child_dies_with_us(tmp_path):
    """Also when the tray is killed and can do nothing about it."""
    mark = tmp_path / "pid"
    program = script(tmp_path, f"echo $$ > {mark}.new; mv {mark}.new {mark}; exec sleep 60")
    argv = swayidle_command(str(program), shutil.which("setpriv"), 60.0)
    text = (
        "import os, time; from gpuwatch_tray.desktop.presence.types import SuspendLog;"
        "from gpuwatch_tray.desktop.presence.swayidle import SwayIdle;"
        f"SwayIdle({argv!r}, os.environ, 60.0, SuspendLog()); time.sleep(60)"
    )
    with rig.process([sys.executable, "-c", text], dict(os.environ), tmp_path / "log") as tray:
        wait_until(mark.exists, "the child")
        child = psutil.Process(int(mark.read_text()))
        tray.send_signal(signal.SIGKILL)
        tray.wait(60)
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "its end")


@contextmanager
def nested_sway(display):
    """Run a sway in an X window; yield the environment of its clients."""
    # It refuses to be root, and another user does not get into pytest's folders.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": name,
            "XDG_RUNTIME_DIR": name,
            "DISPLAY": display,
            "WLR_BACKENDS": "x11",
            "WLR_RENDERER": "pixman",
        }
        drop = []
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
            drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        (folder / "config").write_text("xwayland disable\n")
        sway = [*drop, "sway", "--config", str(folder / "config")]
        with rig.process(sway, environment, folder / "sway.log"):

            def socket():
                return [path.name for path in folder.glob("wayland-*") if path.is_socket()]

            (found,) = wait_until(socket, "sway's socket", 10)
            yield {**environment, "WAYLAND_DISPLAY": found, "XDG_CURRENT_DESKTOP": "sway"}


def need(*tools):
    """Skip where one is missing; under CI, where they must be there, fail."""
    if lacking := [tool for tool in tools if shutil.which(tool) is None]:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs {', '.join(lacking)}")


@pytest.mark.desktop
def test_in_a_real_sway_the_mouse_lies_still_and_moves(display):
    """Unknown at first, away after the limit, present with the first movement: as the tray sees it."""
    need("sway", "swayidle")
    with nested_sway(display) as environment:
        watcher = start_detector(None, environment, 1.0, platform="linux")
        try:
            assert watcher.check().presence is Presence.UNKNOWN
            wait_until(lambda: watcher.check().presence is Presence.AWAY, "away")
            assert watcher.check().source == "swayidle"
            move = ["xdotool", "mousemove", "150", "150", "mousemove", "220", "220"]
            subprocess.run(move, env=environment, check=True, timeout=60)
            wait_until(lambda: watcher.check().presence is Presence.PRESENT, "present")
            wait_until(lambda: watcher.check().presence is Presence.AWAY, "away again")
        finally:
            watcher.close()
