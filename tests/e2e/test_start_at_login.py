"""The start at login, as a session does it: from the file, before there is a panel."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from gpuwatch_tray import drawing
from gpuwatch_tray.desktop import entries
from gpuwatch_tray.model import Level
from tests.e2e import rig
from tests.support.installed import Installed
from tests.support.timing import wait_until

pytestmark = [pytest.mark.desktop, pytest.mark.driver]

ROOT = Path(__file__).parent.parent.parent
NAME = "io.github.gpuwatch_tray"
ODD = 'my "GPUs" of $HOME `x` 100% 显卡'


@pytest.fixture
def odd_script(tmp_path):
    return installed_in(tmp_path / ODD)


def installed_in(place):
    """Make the console script of an environment in a folder of this name."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True, timeout=60)
    packages = place / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (packages / "here.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
    odd_script = place / "bin/gpuwatch-tray"
    odd_script.write_text('#!/bin/sh\nexec "$(dirname "$0")/python" -P -m gpuwatch_tray "$@"\n')
    odd_script.chmod(0o755)
    return odd_script


@pytest.fixture
def early(tmp_path):
    """Start a session that has no panel yet."""
    rig.require()
    with rig.desktop(tmp_path / "desktop", panel=False) as running:
        yield running


@pytest.mark.parametrize(
    ("folder", "launcher", "late"),  # `late`: seconds from the start of the program to that of the panel
    [
        (ODD, ["gio", "launch", ".config/autostart/gpuwatch-tray.desktop"], 10.0),
        # dex 0.9 knows no escapes within quotes, and leaves `%%` as it is
        ("my GPUs 显卡", ["dex", "--autostart", "--environment", "XFCE"], 1.0),
    ],
    ids=["glib", "dex"],
)
def test_the_tray_of_a_login_waits_for_its_panel(early, tmp_path, folder, launcher, late):
    """Started from the file in an odd folder seconds before the panel, the icon is there with it."""
    odd_script = installed_in(tmp_path / folder)
    installed = Installed(tmp_path, early.environment, script=odd_script)
    installed.environment |= early.environment
    home = Path(early.environment["HOME"])
    switched = installed.run("setup", "autostart", "on")
    assert switched.stdout.startswith(f"on: at login it starts {odd_script}\n{home}/.config/autostart/")
    # this machine's own programs have no part in it
    session = installed.environment | {"XDG_CONFIG_DIRS": str(tmp_path / "none")}
    subprocess.run(launcher, env=session, cwd=home, check=True, timeout=60)
    try:
        wait_until(lambda: early.client.owner(NAME), "the tray to have started")
        time.sleep(late)
        early.start_panel()
        early.icon_position(drawing.COLOURS[Level.OK])
        tick = {row.label: row for top in early.menu() for row in top.walk()}["Start at login"]
        assert tick.ticked == 1
        assert installed.run("status").returncode == 0
    finally:
        assert installed.run("quit").returncode == 0
    wait_until(lambda: not early.client.owner(NAME), "the tray to be gone")


def test_the_menus_tick_switches_the_file(early, odd_script, tmp_path):
    """A click makes the file, the tick says so; a second one takes both away; a command's change is seen."""
    early.start_panel()
    installed = Installed(tmp_path, script=odd_script)
    installed.environment |= early.environment
    installed.configure(POLL_SEC=0.3)
    file = Path(early.environment["HOME"]) / ".config/autostart/gpuwatch-tray.desktop"

    def tick():
        return {row.label: row for top in early.menu() for row in top.walk()}["Start at login"].ticked

    with rig.process([str(odd_script)], installed.environment, tmp_path / "tray.log"):
        early.icon_position(drawing.COLOURS[Level.OK], timeout=60)
        assert (tick(), file.exists()) == (0, False)
        early.click("Start at login")
        wait_until(lambda: tick() == 1, "the tick")
        assert entries.parse_desktop_entry(file.read_text())["TryExec"] == str(odd_script)
        early.click("Start at login")
        wait_until(lambda: tick() == 0, "the tick to go")
        assert not file.exists()
        installed.run("setup", "autostart", "on")
        wait_until(lambda: tick() == 1, "the tick of the command")
        file.write_text(file.read_text() + "Hidden=true\n")
        wait_until(lambda: tick() == 0, "the tick to follow the desktop's own switch")


def test_a_trial_is_not_for_every_login(odd_script, tmp_path):
    """Neither a demo nor `--source auto` switches it on, and their menus have no tick for it."""
    installed = Installed(tmp_path, script=odd_script)
    for words in (("--demo",), ("--source", "auto")):
        done = installed.run("setup", "autostart", "on", *words)
        assert (done.returncode, "trying out" in done.stderr) == (2, True)
    assert installed.run("setup", "autostart").stdout == "off: it is not started at login\n"
