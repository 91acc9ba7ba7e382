"""
What a newcomer does, from the wheel to its last trace, in an empty home on a real desktop.

Only the libraries that the wheel asks for are not installed again: a test does not go online. They are those
of the environment that runs it, which has nothing of the distribution's, PyGObject neither.
"""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from tests.driver import scenario as driver
from tests.driver.scenario import FakeGpu, FakeProcess, Scenario
from tests.e2e import rig
from tests.support.timing import wait_until
from tests.support.workers import workers

pytestmark = [pytest.mark.desktop, pytest.mark.driver]

ROOT = Path(__file__).parent.parent.parent
BUS_NAME = "io.github.gpuwatch_tray"
GIB = 2**30
OWN = (".config/gpuwatch-tray", ".local/state/gpuwatch-tray")


class Newcomer:
    """A person with an empty home on this desktop."""

    def __init__(self, folder, desk):
        self.home, self.temporary = folder / "home of Ada 显卡", folder / "tmp"
        for each in (self.home, self.temporary):
            each.mkdir()
        self.program = self.home / ".local/bin/gpuwatch-tray"
        self.desk = desk
        self.scenario = folder / "scenario"
        own = {"HOME": str(self.home), "TMPDIR": str(self.temporary), "USER": "ada"}
        self.environment = driver.environment(self.scenario, desk.environment | own)
        self.environment["PATH"] = f"{self.program.parent}:{desk.environment['PATH']}"

    def install(self, wheel):
        """As `pipx install` does it: an environment of its own, and a link to its script."""
        self.venv = self.home / ".local/share/pipx/venvs/gpuwatch-tray"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.venv], check=True, timeout=60)
        python = self.venv / "bin/python"
        subprocess.run(
            [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel],
            check=True,
            timeout=120,
        )
        packages = self.venv / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
        (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self.program.parent.mkdir(parents=True)
        self.program.symlink_to(self.venv / "bin/gpuwatch-tray")

    def uninstall(self):
        """As `pipx uninstall` does it."""
        shutil.rmtree(self.home / ".local/share/pipx")
        self.program.unlink()
        self.program.parent.rmdir()

    def says(self, *words, code=0):
        """Return what a command prints, run by its bare name; it exits with `code`."""
        done = subprocess.run(
            ["gpuwatch-tray", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
            cwd=self.temporary,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def session(self):
        """Start what is in the session's autostart folder."""
        command = ["dex", "--autostart", "--environment", "XFCE"]
        # this machine's own programs have no part in it
        environment = self.environment | {"XDG_CONFIG_DIRS": str(self.temporary)}
        subprocess.run(command, env=environment, check=True, timeout=60, cwd=self.home)
        self.until_it_runs(yes=True)

    def until_it_runs(self, *, yes):
        """Wait until the tray has come to the session, or has left it."""
        there = self.desk.client.owner
        wait_until(lambda: bool(there(BUS_NAME)) is yes, "the tray to come or to go")

    def has(self):
        """Return the files below the home by their paths."""
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*") if not path.is_dir())


@pytest.fixture
def wheel(tmp_path):
    """Build the wheel of this checkout."""
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        tmp_path / "dist",
        ROOT,
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (built,) = (tmp_path / "dist").iterdir()
    return built


@pytest.fixture
def ada(tmp_path, desk):
    newcomer = Newcomer(tmp_path, desk)
    yield newcomer
    if desk.client.owner(BUS_NAME):
        newcomer.says("quit")


def test_what_a_newcomer_does(ada, wheel, desk, tmp_path):
    """Install, first start, popup, settings, live edit, login, session, doctor, quit, and away with it."""
    before = len(desk.notifications())
    earlier = set((desk.folder / "runtime").glob("gpuwatch-tray/*"))
    with workers(tmp_path, ["train.py"]) as (one,):
        gpus = [FakeGpu.numbered(0, FakeProcess(one.pid, 2 * GIB)), FakeGpu.numbered(1)]
        Scenario(gpus=gpus).write(ada.scenario)
        ada.install(wheel)
        assert ada.says("--version").startswith("gpuwatch-tray ")

        # The first start: an icon, and one popup that says what is watched.
        with (tmp_path / "tray.log").open("wb") as log:
            command = [ada.program]
            tray = subprocess.Popen(
                command, env=ada.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        desk.icon_position(drawing.COLOURS[Level.OK], timeout=60)
        greeting = wait_until(lambda: desk.notifications()[before:], "the first popup")[0]
        assert "2 GPUs" in greeting.title
        desk.screenshot(rig.shots(tmp_path / "shots") / "newcomer.png")

        # The settings: four private files, and an edit that is taken over while it runs.
        ada.says("setup", "config")
        files = sorted((ada.home / ".config/gpuwatch-tray").iterdir())
        assert [file.name for file in files] == ["gpu-watch.env", "lab.env", "notify.env", "smtp.env"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        edited, number = re.subn(r"(?m)^#?\s*GPU_LIMIT=\S*", "GPU_LIMIT=0", files[0].read_text(), count=1)
        assert number == 1
        files[0].write_text(edited)
        desk.icon_position(drawing.COLOURS[Level.WARNING], timeout=60)
        checked = ada.says("setup", "config", "--check")
        assert checked.startswith("no mistakes in the settings\nEmail is off: ")

        # At every login, and in the desktop's menu.
        assert ada.says("setup", "autostart", "on").startswith(f"on: at login it starts {ada.program}\n")
        assert ada.says("setup", "desktop", "on").startswith("on: ")
        ada.says("quit")
        assert tray.wait(60) == 0
        ada.until_it_runs(yes=False)
        assert "Traceback" not in (tmp_path / "tray.log").read_text()
        ada.session()
        desk.icon_position(drawing.COLOURS[Level.WARNING], timeout=60)
        assert "the limit is 0" in ada.says("status")
        told = ada.says("doctor")
        assert "PROBLEM" not in told
        assert re.search(r"(?m)^ok +autostart +on: ", told)
        assert len([popup for popup in desk.notifications()[before:] if "2 GPUs" in popup.title]) == 1

        # Away with it: what stays is the person's own.
        ada.says("setup", "autostart", "off")
        ada.says("setup", "desktop", "off")
        ada.says("quit")
        ada.until_it_runs(yes=False)
        ada.uninstall()
    kept = ada.has()
    assert {path.split("/gpuwatch-tray/")[0] + "/gpuwatch-tray" for path in kept} == set(OWN)
    ours = {str(path.relative_to(ada.home)) for path in ada.home.rglob("*gpuwatch*") if path.is_dir()}
    assert ours == set(OWN)
    assert list(ada.temporary.iterdir()) == []
    # The folder goes with the session; a lock's file stays, as removing it could let two in.
    left = set((desk.folder / "runtime").glob("gpuwatch-tray/*")) - earlier
    assert [path for path in left if path.suffix != ".lock"] == []
