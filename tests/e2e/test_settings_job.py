"""The first start, and settings that change under the running tray, on a real panel."""

from __future__ import annotations

import signal
import subprocess

import pytest

from gpuwatch_tray import drawing
from gpuwatch_tray.model import IconStyle, Level
from tests.driver.scenario import FakeGpu, FakeProcess, Scenario
from tests.support.installed import MIB, Installed
from tests.support.timing import wait_until
from tests.support.workers import workers

pytestmark = [pytest.mark.desktop, pytest.mark.driver]

OPENER = '#!/bin/sh\nprintf \'%s\\n\' "$1" >>"$OPENED"\n'


@pytest.fixture
def opening(tmp_path, desk):
    """Install with empty settings, on a desktop that opens files by writing down their names."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "xdg-open").write_text(OPENER)
    (tools / "xdg-open").chmod(0o755)
    installed = Installed(tmp_path)
    installed.environment = desk.environment | installed.environment
    installed.environment["PATH"] = f"{tools}:{installed.environment['PATH']}"
    installed.environment["OPENED"] = str(tmp_path / "opened")
    installed.write("gpu-watch.env")
    # A machine whose GPU sleeps is read all the same, and the polls are quick.
    installed.write("notify.env", "WAKE_GPU=on\nPOLL_SEC=0.5\n")
    return installed


@pytest.fixture
def tray_log(opening):
    """Run the tray until the test's end; return its log."""
    file = opening.folder / "tray.log"
    with file.open("wb") as log:
        running = subprocess.Popen(
            [opening.script], env=opening.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    yield file
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 0
    assert "Traceback" not in file.read_text()


def looks(desk, level, style=IconStyle.AUTO):
    """Wait until the icon is this picture."""
    wanted = [list(each) for each in drawing.icon_pixmaps(drawing.IconLook(level, style))]

    def shown():
        return [list(each) for each in desk.client.get_all(desk.item())["IconPixmap"]] == wanted

    wait_until(shown, f"the icon {level.name}, {style.value}", timeout=60)


def test_from_the_first_start_to_a_mistake_that_is_mended(opening, desk, tmp_path, request):
    """Greeted once; the settings opened; each edit taken over; a mistake named and refused."""
    before = len(desk.notifications())

    def popups():
        return desk.notifications()[before:]

    with workers(tmp_path, ["train.py"]) as (one,):
        opening.play(Scenario(gpus=[FakeGpu.numbered(0, FakeProcess(one.pid, MIB)), FakeGpu.numbered(1)]))
        request.getfixturevalue("tray_log")
        looks(desk, Level.OK)
        greeting = wait_until(popups, "the greeting", timeout=60)[0]
        assert greeting.title == "gpuwatch-tray is watching 2 GPUs"
        assert "NVIDIA Test 4090" in greeting.body

        desk.click("Open settings")
        file = tmp_path / "gpu-watch.env"
        opened = wait_until(
            lambda: (tmp_path / "opened").is_file() and (tmp_path / "opened").read_text(), "it"
        )
        assert opened == f"{file}\n"

        file.write_text("ICON_STYLE=dark\nAWAY_MIN=7\nWAKE_GPU=off\nWAKE_GPU=on\n")
        looks(desk, Level.OK, IconStyle.DARK)
        file.write_text("ICON_STYLE=dark\nGPU_LIMIT=0\n")
        looks(desk, Level.WARNING, IconStyle.DARK)
        assert any("the limit is 0" in label for label in desk.labels())

        told = len(popups())
        file.write_text("ICON_STYLE=light\n\nGPU_LIMIT=none\n")
        wrong = wait_until(lambda: popups()[told:], "the popup about the mistake", timeout=60)[0]
        assert wrong.title == "The old settings stay in use"
        assert "gpu-watch.env:3: GPU_LIMIT" in wrong.body
        looks(desk, Level.WARNING, IconStyle.DARK)
        labels = "".join(desk.labels()).replace(" ", "")  # a long path stands on several lines
        assert "gpu-watch.env:3:GPU_LIMIT" in labels

        file.write_text("ICON_STYLE=light\nGPU_LIMIT=2\n")
        looks(desk, Level.OK, IconStyle.LIGHT)
        wait_until(lambda: wrong.id in desk.closed_notifications(), "the popup to go")
        assert [popup.title for popup in popups()].count(greeting.title) == 1
