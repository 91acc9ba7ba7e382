"""
The pictures of the tray on GNOME and on KDE Plasma, taken anew: docs/gnome.png and docs/kde.png.

    .venv/bin/python -m tests.e2e.shell_pictures docs
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from tests.e2e import rig
from tests.e2e.gnome import gnome
from tests.e2e.kde import kde
from tests.e2e.peers import running_tray
from tests.e2e.whole_desktop import Form
from tests.support.tray_status import GIB, alert, gpu, process, snapshot, status

if TYPE_CHECKING:
    from tests.e2e.whole_desktop import WholeDesktop

FORM = Form(size=(1280, 800))
MARGIN = 24  # pixels around the menu
HEADLINE = "2 GPUs in use; the limit is 1"
HELD = (
    process(2311, 0, 5000.0, memory=18 * GIB, command=("python", "train.py", "--config", "base.yaml")),
    process(2388, 0, 900.0, memory=3 * GIB, command=("python", "eval.py", "--checkpoint", "last.ckpt")),
    process(1907, 1, 90000.0, memory=6 * GIB, user="bob", mine=False, command=("python", "serve.py")),
)


def take(desk: WholeDesktop, target: Path) -> None:
    """Keep the open menu with one GPU's processes."""
    gpus = [
        gpu(0, memory_used=22 * GIB, utilisation=97, power=402.0),
        gpu(1, memory_used=7 * GIB, utilisation=18, temperature=48, power=92.0),
    ]
    over = status(Level.WARNING, snapshot(gpus, HELD), headline=HEADLINE, alerts=(alert(reason=HEADLINE),))
    with running_tray(desk.address, desk.client, over):
        desk.open_menu(drawing.COLOURS[Level.WARNING])
        desk.open_row("GPU 0")
        rows = desk.still()
        rig.settle()
        left = min(row.box[0] for row in rows) - MARGIN
        bottom = max(row.box[3] for row in rows) + MARGIN
        picture = desk.picture((left, 0, desk.size[0], min(bottom, desk.size[1])))
        picture.quantize(256).save(target, optimize=True)
        desk.close_menu()


def main() -> None:
    """Start each desktop, one after the other."""
    target = Path(sys.argv[1])
    for start in (gnome, kde):
        with tempfile.TemporaryDirectory() as name, start(Path(name) / "desk", FORM) as desk:
            take(desk, target / f"{desk.kind}.png")


if __name__ == "__main__":
    main()
