"""
The pictures of the menu beside a lab, taken anew: with 3 and with 500 hosts, on XFCE and on GNOME.

    .venv/bin/python -m tests.e2e.lab_pictures FOLDER [docs/lab.png]

The second path is where the one of the documentation goes. The statuses are made up: no popup comes into a
picture, and the same hosts stand in each.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace
from PIL import Image, ImageChops  # crops the screenshot

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level, Severity
from gpuwatch_tray.tray import HostDetail, LabExtras, MenuExtras
from tests.e2e import rig
from tests.e2e.gnome import gnome
from tests.e2e.peers import running_tray
from tests.e2e.whole_desktop import PANEL, Form, WholeDesktop
from tests.support.lab_status import (
    away,
    fleet,
    lab_alert,
    lab_status,
    lab_view,
    remote,
    well,
    with_lab,
)
from tests.support.timing import wait_until
from tests.support.tray_status import GIB, gpu, process, snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model import Status

GROUND = "#37506b"
MARGIN = 12  # pixels around the menu
FEW, MANY = 3, 500
CARD = {"name": "NVIDIA A100-SXM4-80GB", "memory_total": 80 * GIB}
BUSY = CARD | {"memory_used": 61 * GIB, "utilisation": 97, "temperature": 60}
IDLE = CARD | {"memory_used": GIB // 2, "utilisation": 0, "temperature": 34}
ONE = snapshot(
    [gpu(number, **BUSY if number < 3 else IDLE) for number in range(8)],
    [process(4711 + number, number, user="bob", mine=False) for number in range(3)],
)
CLOCK = "the clock of 1 host is off: h0012"


def few() -> Status:
    """Three hosts, one of which does not answer."""
    silent = "gpu-c does not answer: connection refused"
    lab = lab_status(
        *(well("gpu-a", free=2, mine=3), well("gpu-b"), away("gpu-c")),
        level=Level.WARNING,
        headline=silent,
        alerts=[lab_alert(text=silent, rule="host_blind", severity=Severity.WARNING)],
    )
    return with_lab(lab, Level.WARNING, headline=f"Lab: {silent}")


def many() -> Status:
    """Five hundred, with an alert of ours and one of others."""
    others = remote("f2", "h0101", text="a fan stands still", severity=Severity.WARNING)
    lab = lab_status(
        view=lab_view(*fleet(MANY), alerts=(remote(), others), notes=(CLOCK,)),
        level=Level.CRITICAL,
        headline="h0033: a GPU is lost",
        alerts=[lab_alert()],
        notes=(CLOCK,),
    )
    return with_lab(lab, Level.CRITICAL, headline=f"Lab: {lab.headline}")


SHOWN = {FEW: (few, "gpu-a"), MANY: (many, "h0005")}  # what is shown, and the host that is opened


def extras(host: str) -> MenuExtras:
    """What the menu shows besides: one host that was asked, and the pages of the lab."""
    now = time.time()
    links = (("Prometheus", "https://prometheus.example"), ("Grafana", "https://grafana.example"))
    return MenuExtras(lab=LabExtras({host: HostDetail(now, replace(ONE, at=now))}, links, may_silence=True))


def take(desk: rig.Desktop, folder: Path, docs: Path | None) -> None:
    """Keep the menu as it opens, with a list of hosts, and with one of these unfolded."""
    kind = "gnome" if isinstance(desk, WholeDesktop) else "xfce"
    for count, (make, host) in SHOWN.items():
        shown = make()
        names = [folder / f"lab-{kind}-{count}{part}.png" for part in ("", "-list", "-host")]
        with running_tray(desk.address, desk.client, shown) as running:
            running.tray.show_extras(extras(host))
            running.settle()
            colour = drawing.COLOURS[shown.level]
            if isinstance(desk, WholeDesktop):
                desk.open_menu(colour)
                opens = [
                    desk.still,
                    lambda: desk.open_row("Free: "),
                    lambda host=host: desk.open_row(f"{host} "),
                ]
            else:
                desk.right_click(desk.icon_position(colour))
                opens = [
                    lambda: None,
                    lambda: unfold(desk, desk.menu(), "Free: ", 1),
                    lambda host=host: unfold(desk, _below(desk, "Free: "), f"{host} ", 0),
                ]
            for name, opened in zip(names, opens, strict=True):
                opened()
                rig.settle(1.0)
                desk.screenshot(name)
            desk.close_menu()
        wait_until(lambda: not _registered(desk), "the icon to go")
        if docs is not None and kind == "xfce" and count == MANY:
            stack((names[0], names[-1]), docs)


def stack(shots: Sequence[Path], target: Path) -> None:
    """Draw the menu as it opens, and under it with a list unfolded, without the empty ground."""
    pictures = [Image.open(shot).convert("RGB") for shot in shots]
    boxes = [_used(picture) for picture in pictures]
    left = max(min(box[0] for box in boxes) - MARGIN, 0)
    parts = [
        picture.crop((left, 0, picture.width, min(box[3] + MARGIN, picture.height)))
        for picture, box in zip(pictures, boxes, strict=True)
    ]
    whole = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)))
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    whole.quantize(128).save(target, optimize=True)


def _used(picture: Image.Image) -> tuple[int, int, int, int]:
    below = picture.crop((0, PANEL, *picture.size))
    found = ImageChops.difference(below, Image.new("RGB", below.size, GROUND)).getbbox()
    left, top, right, bottom = found or (0, 0, *below.size)
    return left, top, right, bottom + PANEL


def _below(desk: rig.Desktop, start: str) -> Sequence[rig.MenuRow]:
    return next(row for row in desk.menu() if row.label.startswith(start)).children


def _registered(desk: rig.Desktop) -> list[str]:
    peer = (rig.WATCHER, "/StatusNotifierWatcher", rig.WATCHER)
    return desk.client.get_all(peer).get("RegisteredStatusNotifierItems", [])


def unfold(desk: rig.Desktop, rows: Sequence[rig.MenuRow], start: str, before: int) -> Sequence[rig.MenuRow]:
    """Press keys up to the row whose label starts so, and the one that opens what is below it."""
    reachable = [row for row in rows if row.enabled and not row.separator]
    place = next(place for place, row in enumerate(reachable) if row.label.startswith(start))
    desk.key(*["Down"] * (place + before), "Right")
    rig.settle(1.0)
    return reachable[place].children


def main() -> None:
    """Start each desktop, one after the other."""
    folder, docs = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        with rig.desktop(Path(name) / "xfce") as desk:
            subprocess.run(["xsetroot", "-solid", GROUND], env=desk.environment, check=True)
            take(desk, folder, docs)
        with gnome(Path(name) / "gnome", Form()) as shell:
            take(shell, folder, None)


if __name__ == "__main__":
    main()
