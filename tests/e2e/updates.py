"""
The program under the leak test: the real backend on a real bus, shown one view after another.

    python -m tests.e2e.updates ADDRESS WARM-UP UPDATES

prints how many KiB its memory has grown by over the updates that follow the warm-up.
"""

from __future__ import annotations

import gc
import resource
import sys
from pathlib import Path

from gpuwatch_tray import drawing
from gpuwatch_tray.desktop.dbus import SessionBus
from gpuwatch_tray.model import Level
from gpuwatch_tray.tray import menu
from gpuwatch_tray.tray.backends.base import TrayView
from gpuwatch_tray.tray.backends.statusnotifier import StatusNotifierBackend
from tests.support.tray_status import alert, gpu, process, snapshot, status

BATCH = 50  # updates between two looks at the bus


def view(number: int) -> TrayView:
    """Return the `number`th view: another icon, another title, other texts, and now and then other rows."""
    level = (Level.OK, Level.WARNING, Level.CRITICAL, Level.NO_DATA)[number % 4]
    held = [process(100 + (number // 10) % 50 + place, 0, 60.0 * (number % 500)) for place in range(4)]
    alerts = (alert(f"a{number // 20}"),) if number % 40 < 20 else ()
    shown = snapshot([gpu(0, utilisation=number % 100), gpu(1)], held)
    told = status(level, shown, alerts=alerts, headline=f"update {number}")
    title, *details = menu.tooltip(told)
    return TrayView(drawing.IconLook(level), title, menu.build_menu(told), tuple(details))


def held() -> int:
    """Return the memory in use, in KiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() // 1024


class Run:
    """The updates, in batches between which the loop answers the bus."""

    def __init__(self, address: str, warm_up: int, updates: int) -> None:
        self._bus = SessionBus.connect(address)
        self._backend = StatusNotifierBackend(self._bus, "gpuwatch-tray", lambda _action: None)
        self._warm_up, self._last = warm_up, warm_up + updates
        self._number = 0
        self._before = 0

    def run(self) -> None:
        """All of them, once a line comes in."""
        self._backend.run(self._wait)
        self._bus.close()

    def _wait(self) -> None:
        print(f"serving {self._bus.name}", flush=True)
        sys.stdin.readline()
        self._bus.post(self._batch)

    def _batch(self) -> None:
        for _ in range(BATCH):
            self._backend.present(view(self._number))
            self._number += 1
        if self._number == self._warm_up:
            self._before = held()
        if self._number < self._last:
            self._bus.loop.call_later(0.001, self._batch)
        else:
            print(f"grown by {held() - self._before} KiB", flush=True)
            self._backend.stop()


if __name__ == "__main__":
    Run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])).run()
