"""
What GNOME Shell and KDE Plasma use beside a crowded tray. Prints a line for each; asserts no figure.

    .venv/bin/python -m tests.bench.shell_cost [SECONDS [gnome|kde [x11|wayland]]]

8 GPUs with 100 processes each, whose numbers and order change with each second: the shell without us, with
the menu closed, and with the processes of a GPU open in it, for SECONDS (300) each.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.gnome import gnome
from tests.e2e.kde import kde
from tests.e2e.peers import running_tray
from tests.e2e.rig import settle
from tests.e2e.shell_tests import GPUS, OK, SMALL_WAYLAND, SMALL_X11, crowd, spent

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.whole_desktop import WholeDesktop

SECONDS = 300
SHELLS = {"gnome": gnome, "kde": kde}
FORMS = {"x11": SMALL_X11, "wayland": SMALL_WAYLAND}
CALM = 20.0  # seconds in which a shell that has just been started finishes what it does by itself


def measured(desk: WholeDesktop, seconds: int, each_second: Callable[[int], None]) -> str:
    """The CPU of one core and the memory that the shell used in so many seconds."""
    before = desk.cost()
    after = spent(desk, before, seconds, each_second)
    share = 100 * (after.cpu - before.cpu) / seconds
    return f"{share:5.2f} % {after.memory:4.0f} MiB"


def measure(desk: WholeDesktop, seconds: int) -> None:
    """Print the line of one desktop."""
    settle(CALM)
    figures = [measured(desk, seconds, lambda _second: None)]
    with running_tray(desk.address, desk.client, crowd(0)) as running:
        desk.icon_position(OK)
        figures.append(measured(desk, seconds, lambda second: running.show(crowd(second))))
        desk.open_menu(OK)
        desk.open_row(f"{GPUS} GPUs ·")
        desk.open_row("GPU 0")
        figures.append(measured(desk, seconds, lambda second: running.show(crowd(seconds + second))))
        desk.close_menu()
    print(f"{desk.kind:6}{desk.form.name:20}" + "   ".join(figures), flush=True)


def main() -> None:
    """Start each desktop, one after the other."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    shells = sys.argv[2:3] or list(SHELLS)
    forms = sys.argv[3:4] or list(FORMS)
    print(f"{'':26}{'without us':18}{'menu closed':18}menu open", flush=True)
    for kind in shells:
        for form in forms:
            with (
                tempfile.TemporaryDirectory() as name,
                SHELLS[kind](Path(name) / "desk", FORMS[form]) as desk,
            ):
                measure(desk, seconds)


if __name__ == "__main__":
    main()
