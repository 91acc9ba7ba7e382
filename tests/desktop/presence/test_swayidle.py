"""swayidle: what becomes of the child, and the real one in a nested sway."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import psutil  # whether the child is gone
import pytest

from gpuwatch_tray.desktop.presence import start_detector
from gpuwatch_tray.desktop.presence.swayidle import SwayIdle, swayidle_command
from gpuwatch_tray.desktop.presence.types import Evidence, SuspendLog, moment
from gpuwatch_tray.model import Presence
from tests.desktop.presence.compositors import EXT_IDLE_NOTIFY, need, nested_sway, sway_version
from tests.e2e import rig
from tests.support.timing import slowness, wait_until


def script(folder, text):
    """Write a program that stands for swayidle."""
    path = folder / "swayidle"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def called():
    """The word that it is wanted, given already."""
    wanted = threading.Event()
    wanted.set()
    return wanted


@pytest.fixture
def start_swayidle():
    """Start a source; closed at the end."""
    made = []

    def begin(argv, away=60.0, wanted=None):
        suspends = SuspendLog()
        made.append(SwayIdle(argv, os.environ, away, suspends, wanted=wanted or called(), first_pause=0.05))
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


def test_no_child_starts_before_it_is_wanted(start_swayidle, tmp_path):
    """The compositor is asked first; and a watch that ends meanwhile starts none."""
    mark = tmp_path / "started"
    wanted = threading.Event()
    source = start_swayidle([str(script(tmp_path, f"touch {mark}; echo idle; exec sleep 60"))], wanted=wanted)
    assert "not needed" in source.state()
    assert not source.is_listening
    source.close()
    assert not source._thread.is_alive()
    assert not mark.exists()
    source = start_swayidle([str(tmp_path / "swayidle")], wanted=wanted)  # which the end has set
    wait_until(lambda: evidence(source) is Evidence.IDLE_AT_LEAST, "the child's word")
    assert source.is_listening


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
        "import threading; wanted = threading.Event(); wanted.set();"
        f"SwayIdle({argv!r}, os.environ, 60.0, SuspendLog(), wanted=wanted); time.sleep(60)"
    )
    with rig.process([sys.executable, "-c", text], dict(os.environ), tmp_path / "log") as tray:
        wait_until(mark.exists, "the child")
        child = psutil.Process(int(mark.read_text()))
        tray.send_signal(signal.SIGKILL)
        tray.wait(60)
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "its end")


@pytest.mark.desktop
def test_in_a_real_sway_the_mouse_lies_still_and_moves(display):
    """Unknown at first, away after the limit, present with the first movement: as the tray sees it."""
    need("sway", "swayidle")
    if sway_version() >= EXT_IDLE_NOTIFY:
        pytest.skip("this sway tells by itself")
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
