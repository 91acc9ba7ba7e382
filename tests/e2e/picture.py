"""
The README's picture, taken anew: the installed program on the real panel.

    .venv/bin/python -m tests.e2e.picture docs/tray.png
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from msgspec.structs import replace
from PIL import Image, ImageChops  # crops the screenshot

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from tests.driver.scenario import GIB, MIB, FakeGpu, FakeProcess, Scenario
from tests.e2e import rig
from tests.support.installed import Installed
from tests.support.mailserver import MailServer
from tests.support.timing import wait_until
from tests.support.workers import workers

WIDTH, POPUP, MARGIN = 900, 142, 12  # pixels of the screen
GROUND = "#37506b"
COMMANDS = (
    ["train.py", "--config", "configs/base.yaml", "--wandb-key", "0f3c9a7be21d4c58"],
    ["eval.py", "--checkpoint", "runs/17/last.ckpt"],
    ["serve.py", "--port", "8000"],
)


def main() -> None:
    """Play a workstation over its limit, open the menu, and keep what is on the screen."""
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "vision"
        folder.mkdir()
        installed = Installed(folder)
        installed.configure(GPU_LIMIT=1, POLL_SEC=0.5)
        installed.met()
        with (
            MailServer() as server,
            rig.desktop(folder / "desk") as desk,
            workers(folder, *COMMANDS) as (train, evaluate, serve),
        ):
            installed.mail_through(server)
            installed.write("notify.env", "EMAIL_WHEN=always\n")  # the picture shows what became of the mail
            subprocess.run(["xsetroot", "-solid", GROUND], env=desk.environment, check=True)
            card = replace(FakeGpu.numbered(0), name="NVIDIA RTX 4090", memory_total=24 * GIB)
            first = replace(
                card,
                processes=[FakeProcess(train.pid, 18_400 * MIB), FakeProcess(evaluate.pid, 2_828 * MIB)],
                memory_used=22 * GIB,
                utilisation=97,
                temperature=71,
                power=402.0,
            )
            second = replace(
                card,
                uuid=FakeGpu.numbered(1).uuid,
                processes=[FakeProcess(serve.pid, 6_100 * MIB)],
                memory_used=7 * GIB,
                utilisation=18,
                temperature=48,
                power=92.0,
            )
            installed.play(Scenario(gpus=[first, second]))
            tray = subprocess.Popen([installed.script], env=desk.environment | installed.environment)
            try:
                position = desk.icon_position(drawing.COLOURS[Level.WARNING])
                wait_until(desk.notifications, "the popup")
                wait_until(lambda: server.messages, "the mail", timeout=20)
                desk.right_click(position)
                rig.settle()
                menu = desk.screenshot(folder / "menu.png")
                desk.key("Down", "Down", "Right")
                rig.settle(0.05)  # the processes are out, the details of the first not yet
                stack(target, menu, desk.screenshot(folder / "processes.png"))
                desk.close_menu()
            finally:
                tray.terminate()
                tray.wait(10)


def used(shot: Image.Image) -> int:
    """How far down the panel and its menus reach, with a margin under them; the popup is left out."""
    above = shot.convert("RGB").crop((0, 0, shot.width, shot.height - POPUP))
    box = ImageChops.difference(above, Image.new("RGB", above.size, GROUND)).getbbox()
    return (box[3] if box else 0) + MARGIN


def stack(target: Path, menu: Path, processes: Path) -> None:
    """Draw the menu, under it the same with a GPU's processes, under that the popup of the same screen."""
    with Image.open(menu) as one, Image.open(processes) as two:
        left = one.width - WIDTH
        parts = [
            one.crop((left, 0, one.width, used(one))),
            two.crop((left, 0, two.width, used(two))),
            two.crop((left, two.height - POPUP, two.width, two.height)),
        ]
    picture = Image.new("RGB", (WIDTH, sum(part.height for part in parts)))
    top = 0
    for part in parts:
        picture.paste(part.convert("RGB"), (0, top))
        top += part.height
    picture.quantize(64).save(target, optimize=True)


if __name__ == "__main__":
    main()
