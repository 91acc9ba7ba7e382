"""What the tray costs: memory over many updates, and time with very many processes."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from dbus_fast import Variant  # the tests speak the protocol too

from tests.e2e.peers import ITEM, MENU, running_tray
from tests.e2e.rig import menu_row
from tests.support.timing import wait_until
from tests.support.tray_status import GIB, NOW, gpu, process, snapshot, status

pytestmark = pytest.mark.desktop

GPUS, PROCESSES = 8, 100
FETCHES = 20


def crowded(second):
    """Eight GPUs with a hundred processes each, all of whose numbers move with each second."""
    held = [
        process(
            1000 + 100 * index + place,
            index,
            60.0 * place + second,
            started=NOW - 60.0 * place,
            identity=str(place),
            memory=GIB * (place + second) // 100,
        )
        for index in range(GPUS)
        for place in range(PROCESSES)
    ]
    gpus = [gpu(index, utilisation=(7 * second + index) % 100) for index in range(GPUS)]
    return status(shown=snapshot(gpus, held))


def test_ten_thousand_updates_leave_the_memory_as_it_was(address, client):
    """Icons, titles, texts and rows that come and go, while a panel fetches them: within 2 MiB."""
    command = [sys.executable, "-m", "tests.e2e.updates", address, "3000", "10000"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            name = child.stdout.readline().split()[1]
            for kind in ("opened", "closed"):  # a panel that tells: nothing lingers
                client.call((name, "/MenuBar", MENU), "Event", "isvu", 0, kind, Variant("i", 0), 0)
            child.stdin.write("begin\n")
            child.stdin.flush()
            for _ in range(FETCHES):
                time.sleep(0.1)
                client.call((name, "/MenuBar", MENU), "GetLayout", "iias", 0, -1, [])
                client.get_all((name, "/StatusNotifierItem", ITEM))
            answer, _ = child.communicate(timeout=250)
        finally:
            child.kill()
    print(f"{answer.strip()} over 10,000 updates")
    assert int(answer.split()[2]) <= 2048


def test_eight_gpus_with_a_hundred_processes_each_are_shown(address, client):
    """A bounded number of rows is served, within what a hand would wait; a poll costs little."""
    with running_tray(address, client, crowded(0)) as tray:
        wait_until(lambda: "GPU" in " ".join(tray.rows()), "the menu")
        began = time.monotonic()
        whole = menu_row(tray.layout()[1])
        served = sum(1 for _ in whole.walk())
        print(f"GetLayout of all: {time.monotonic() - began:.2f} s, {served} rows")
        assert served <= 160

        # at one poll a second
        began = time.process_time()
        for second in range(1, 6):
            tray.show(crowded(second))
        spent = (time.process_time() - began) / 5
        print(f"an update of all rows: {spent * 1000:.0f} ms of one core")


def test_no_row_of_a_closed_menu_is_sent_though_all_numbers_move(address, client):
    """To a panel that says when its menu is open; while it is, what moves is sent."""
    with running_tray(address, client, crowded(0)) as tray:
        client.listen(f"type='signal',sender='{tray.name}'")

        def told(seconds):
            for second in seconds:
                tray.show(crowded(second))
            return {name for name in tray.signals() if name in {"LayoutUpdated", "ItemsPropertiesUpdated"}}

        tray.event(0, "opened")
        assert told(range(1, 3))
        tray.event(0, "closed")
        tray.settle()
        tray.signals()
        assert told(range(3, 8)) == set()
