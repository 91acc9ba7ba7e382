"""The place of the GPUs in a menu that is open while the first reading comes, on every kind of panel."""

from __future__ import annotations

import pytest

from gpuwatch_tray.engine.status import starting
from gpuwatch_tray.model import Level, Problem
from gpuwatch_tray.tray import menu
from gpuwatch_tray.tray.backends import nodes
from gpuwatch_tray.tray.backends.menu_host import ROOT
from tests.support.tray_status import NOW, alert, gpu, snapshot, status
from tests.tray.panels import GNOME, GTK, LXQT, PLASMA, Loop, Menu, Panel

UNREAD = "No GPU has been read yet"
BROKEN = "the NVIDIA driver is not loaded"
OVER = "8 GPUs in use; the limit is 2"

EIGHT = status(
    Level.WARNING,
    snapshot([gpu(index) for index in range(8)], []),
    headline=OVER,
    alerts=(alert(reason=OVER),),
)
TWO = status(shown=snapshot([gpu(0), gpu(1)], []))
BLIND = status(
    Level.NO_DATA, snapshot([], [], problem=Problem(BROKEN, "modprobe nvidia")), headline=f"No data: {BROKEN}"
)


class Seen:
    """A panel and what it shows of the tray's menu."""

    def __init__(self, habits, first):
        self.served = Menu(Loop())
        self.show(first)
        self.panel = Panel(self.served, habits)

    def show(self, told):
        rows = menu.build_menu(told)
        entries = nodes.menu_entries(rows, print)
        self.served.update(entries)

    def labels(self):
        """What is on the screen once the panel has read all that was sent."""
        self.panel.deliver()
        return [self.panel.label(row) for row in self.panel.visible(ROOT)]

    def reopen(self):
        """Close the menu, wait until the panel may show other rows, and open it."""
        self.panel.close()
        self.served._loop.pass_(60.0)
        self.panel.open(ROOT)


@pytest.fixture(params=[LXQT, PLASMA, GTK, GNOME], ids=lambda habits: habits.name)
def habits(request):
    return request.param


@pytest.mark.parametrize("told", [EIGHT, TWO], ids=["eight", "two"])
@pytest.mark.parametrize("opened", [False, True], ids=["closed", "open"])
def test_no_gpu_is_unread_below_a_line_that_tells_of_them(habits, told, opened):
    """The first reading comes, the menu closed or open: nobody sees it above "not read yet"."""
    seen = Seen(habits, starting(NOW))
    if opened:
        seen.panel.open(ROOT)
    assert UNREAD in seen.labels()
    seen.show(told)
    labels = seen.labels()
    assert labels[0] == told.headline
    assert UNREAD not in labels
    seen.reopen()
    assert not any(UNREAD in label for label in seen.labels())


def test_a_driver_that_is_back_is_not_gone_in_the_open_menu(habits):
    """What was wrong stays in its place as what was until now."""
    seen = Seen(habits, BLIND)
    seen.panel.open(ROOT)
    assert BROKEN in seen.labels()
    seen.show(TWO)
    labels = seen.labels()
    assert labels[0] == TWO.headline
    assert BROKEN not in labels
    assert any(label.startswith("Until now: ") for label in labels)


def test_eight_gpus_that_cannot_be_read_any_more_have_no_data(habits):
    """In the open menu their row says so, with its last numbers behind."""
    seen = Seen(habits, EIGHT)
    seen.panel.open(ROOT)
    (former,) = [label for label in seen.labels() if label.startswith("8 GPUs ·")]
    seen.show(BLIND)
    labels = seen.labels()
    assert labels[0] == BLIND.headline
    assert former not in labels
    assert any(label.startswith("No data: 8 GPUs") for label in labels)
