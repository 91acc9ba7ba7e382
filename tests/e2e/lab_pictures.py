"""
The pictures of the menu beside a lab, taken anew: with 3 and with 500 hosts, on XFCE and on GNOME.

    .venv/bin/python -m tests.e2e.lab_pictures FOLDER [docs]

With `docs`, docs/lab.png as well. The statuses are made up, so that no popup is in a picture.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level, Severity
from gpuwatch_tray.tray import HostDetail, LabExtras, MenuExtras
from tests.e2e import rig
from tests.e2e.gnome import gnome
from tests.e2e.peers import running_tray
from tests.e2e.whole_desktop import Form, WholeDesktop
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
from tests.support.tray_status import GIB, NOW, gpu, process, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpuwatch_tray.model import HostView, Status

ROOM = 12  # pixels around what is kept
MANY = 500
CARD = {"name": "NVIDIA A100-SXM4-80GB", "memory_total": 80 * GIB, "temperature": 41, "utilisation": 0}
ONE = snapshot(
    [gpu(number, memory_used=GIB // 2, **CARD) for number in range(8)],
    [process(4711, 0, user="bob", mine=False)],
)
NOTES = ("the clock of 1 host is off: h0012", "Email: 1 waits until the server answers")


def statuses() -> Iterator[tuple[str, Status, Level, str, str]]:
    """Yield a name, what is shown, its colour, and the list and the host that are opened."""
    three = (
        well("gpu-a", free=2, mine=3),
        well("gpu-b", free=0, mine=0),
        away("gpu-c"),
    )
    few = lab_status(
        *three,
        level=Level.WARNING,
        headline="gpu-c does not answer: connection refused; 2 of 16 GPUs free",
        alerts=[
            lab_alert(
                text="gpu-c does not answer: connection refused", rule="host_blind", severity=Severity.WARNING
            )
        ],
    )
    yield "3", _beside(few, Level.WARNING), Level.WARNING, "Free: ", "gpu-a"
    yield f"{MANY}", _beside(_many(fleet(MANY)), Level.CRITICAL), Level.CRITICAL, "Free: ", "h0023"


def _many(hosts: Sequence[HostView]):
    others = (remote("f2", "h0101", text="fan stands still", severity=Severity.WARNING),)
    view = lab_view(*hosts, alerts=(remote(), *others), notes=NOTES[:1])
    return lab_status(
        view=view,
        level=Level.CRITICAL,
        headline="h0033: a GPU is lost",
        alerts=[lab_alert()],
        notes=NOTES[:1],
    )


def _beside(lab, level: Level) -> Status:
    return with_lab(lab, level, headline=f"Lab: {lab.headline}")


def extras(host: str) -> MenuExtras:
    """What the menu shows besides: one host that was asked, and the pages of the lab."""
    links = (("Prometheus", "https://prometheus.example"), ("Grafana", "https://grafana.example"))
    return MenuExtras(lab=LabExtras({host: HostDetail(NOW, ONE)}, links, may_silence=True))


def take(desk: rig.Desktop, folder: Path) -> None:
    """Keep the menu as it opens, and with a host of a list unfolded."""
    kind = "gnome" if isinstance(desk, WholeDesktop) else "xfce"
    for name, shown, level, listed, host in statuses():
        with running_tray(desk.address, desk.client, shown) as running:
            running.tray.show_extras(extras(host))
            running.settle()
            print(f"--- {kind}, {name}: {len(desk.labels())} rows")
            for row in desk.menu():
                _print(row)
            parts = [folder / f"labui-{kind}-{name}{part}.png" for part in ("", "-list", "-host")]
            if isinstance(desk, WholeDesktop):
                desk.open_menu(drawing.COLOURS[level])
                rig.settle()
                desk.screenshot(parts[0])
                desk.open_row(listed)
                rig.settle(1.0)
                desk.screenshot(parts[1])
                desk.open_row(f"{host} ")
                rig.settle(1.0)
                desk.screenshot(parts[2])
            else:
                desk.right_click(desk.icon_position(drawing.COLOURS[level]))
                rig.settle(1.0)
                desk.screenshot(parts[0])
                rows = unfold(desk, desk.menu(), listed, 1)
                desk.screenshot(parts[1])
                unfold(desk, rows, f"{host} ", 0)
                desk.screenshot(parts[2])
            desk.close_menu()
        wait_until(lambda: not _registered(desk), "the icon to go")


def _registered(desk: rig.Desktop) -> list[str]:
    peer = (rig.WATCHER, "/StatusNotifierWatcher", rig.WATCHER)
    return desk.client.get_all(peer).get("RegisteredStatusNotifierItems", [])


def _print(row: rig.MenuRow, depth: int = 0) -> None:
    print("    " * depth + (row.label or "-----") + ("" if row.enabled else "   [grey]"))
    for child in row.children[:14]:
        _print(child, depth + 1)


def unfold(desk: rig.Desktop, rows: Sequence[rig.MenuRow], start: str, before: int) -> Sequence[rig.MenuRow]:
    """Press keys up to the row whose label starts so, and the one that opens what is below it."""
    reachable = [row for row in rows if row.enabled and not row.separator]
    place = next(place for place, row in enumerate(reachable) if row.label.startswith(start))
    desk.key(*["Down"] * (place + before), "Right")
    rig.settle(1.0)
    return reachable[place].children


def main() -> None:
    """Start each desktop, one after the other."""
    folder = Path(sys.argv[1])
    kinds = sys.argv[2:] or ["xfce", "gnome"]
    for kind in kinds:
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            place = Path(name) / "desk"
            desk = stack.enter_context(rig.desktop(place) if kind == "xfce" else gnome(place, Form()))
            take(desk, folder)


if __name__ == "__main__":
    main()
