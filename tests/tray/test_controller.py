"""The tray's life without a desktop: headless, clicks, and pystray's own backend played by its dummy."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from gpuwatch_tray.model import Level
from gpuwatch_tray.tray import Actions, Tray, toolkit
from gpuwatch_tray.tray.controller import View, _Worker
from gpuwatch_tray.tray.menu import Act, rows
from gpuwatch_tray.tray.native import NativeBackend
from gpuwatch_tray.utf16 import clip
from tests.tray.samples import process, snapshot, status


class Hands:
    """Actions that note who called them, and where."""

    def __init__(self):
        self.done = []
        self.threads = set()
        self.told = threading.Event()
        self.hold = threading.Event()
        self.hold.set()

    def act(self, name):
        def work():
            self.hold.wait(5)
            self.done.append(name)
            self.threads.add(threading.current_thread().name)
            self.told.set()

        return work

    def actions(self):
        return Actions(self.act("check"), self.act("mail"), self.act("quit"))


class FakeIcon:
    """What pystray's Icon promises, with its main loop as an Event."""

    HAS_NOTIFICATION = True

    def __init__(self, name, icon, title, menu):
        self.name = name
        self.icon, self.title, self.menu, self.visible = icon, title, menu, False
        self.loop = threading.Event()
        self.popups = []

    def run(self, setup):
        starting = threading.Thread(target=setup, args=(self,))
        starting.start()
        self.loop.wait(5)
        starting.join()

    def stop(self):
        self.loop.set()

    def notify(self, message, title=None):
        self.popups.append((title, message))


@pytest.fixture
def native(monkeypatch):
    monkeypatch.setattr(toolkit, "Icon", FakeIcon)
    clicked = []
    return NativeBackend("gpuwatch-tray", clicked.append), clicked


def view(shown):
    return View(shown.level, "gpuwatch " + shown.headline, rows(shown))


def test_without_a_bus_the_tray_runs_headless_until_it_is_stopped():
    """`ready` is called, `show` is harmless, and `stop` from another thread ends `run`."""
    tray = Tray(None, Hands().actions())
    assert not tray.drawn
    assert tray.notify is None

    def ready():
        tray.show(status())
        threading.Thread(target=tray.stop).start()

    tray.run(ready)
    tray.stop()


def test_stop_before_run_makes_run_return():
    """A signal that comes early is not lost."""
    tray = Tray(None, Hands().actions())
    tray.stop()
    tray.run(lambda: None)


def test_what_ready_raises_is_raised_by_run():
    """A failure to start the watching ends the tray instead of leaving an icon without news."""
    tray = Tray(None, Hands().actions())

    def ready():
        raise RuntimeError("no poller")

    with pytest.raises(RuntimeError, match="no poller"):
        tray.run(ready)


def test_clicks_are_carried_out_on_one_worker_thread():
    """Neither the caller's thread nor several at once."""
    hands = Hands()
    worker = _Worker(hands.actions())
    worker.start()
    for act in (Act.CHECK_NOW, Act.SEND_TEST_MAIL):
        hands.told.clear()
        worker.perform(act)
        assert hands.told.wait(5)
    worker.end()
    assert hands.done == ["check", "mail"]
    assert hands.threads == {"tray-actions"}


def test_a_second_click_on_an_action_under_way_is_not_a_second_action():
    """An impatient hand sends one test mail, not five."""
    hands = Hands()
    hands.hold.clear()
    worker = _Worker(hands.actions())
    worker.start()
    for _ in range(5):
        worker.perform(Act.SEND_TEST_MAIL)
    hands.hold.set()
    worker.end()
    worker._thread.join(5)
    assert hands.done == ["mail"]


def test_quit_does_not_wait_behind_a_slow_mail():
    """Quit is carried out while another action hangs."""
    quitted = threading.Event()
    hanging = threading.Event()
    worker = _Worker(Actions(lambda: None, lambda: hanging.wait(5), quitted.set))
    worker.start()
    worker.perform(Act.SEND_TEST_MAIL)
    worker.perform(Act.QUIT)
    assert quitted.wait(2)
    hanging.set()
    worker.end()


def test_an_action_that_fails_is_logged_and_the_next_click_works(caplog):
    """A fault in one action does not leave a dead menu."""
    hands = Hands()
    worker = _Worker(Actions(lambda: 1 / 0, hands.act("mail"), hands.act("quit")))
    worker.start()
    worker.perform(Act.CHECK_NOW)
    worker.perform(Act.SEND_TEST_MAIL)
    assert hands.told.wait(5)
    worker.end()
    assert "'check now' failed" in caplog.text


def test_importing_pystray_needs_no_display_and_leaves_the_environment_alone():
    """On Linux pystray is given its dummy backend for the import only."""
    environment = {
        key: value for key, value in os.environ.items() if key not in {"DISPLAY", "PYSTRAY_BACKEND"}
    }
    code = (
        "import os, gpuwatch_tray.tray.toolkit as t;print(t.Icon.__module__, 'PYSTRAY_BACKEND' in os.environ)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    assert answer.stdout.split() == ["pystray._base", "False"]


def test_every_row_of_the_menu_survives_pystrays_model():
    """Rows -> pystray Menu -> entries keeps key, label, state and submenu, and the click does its act."""
    clicked = []
    shown = rows(status(Level.WARNING, mail_possible=True))
    entries = toolkit.entries(toolkit.menu(shown, clicked.append), None)

    def same(row, entry):
        if row.separator:
            assert entry.label == ""
            return
        assert (entry.key, entry.label, entry.enabled, entry.subject, entry.gone) == (
            row.key,
            row.label,
            row.enabled,
            row.subject,
            row.gone,
        )
        for below, entry_below in zip(row.children, entry.children, strict=True):
            same(below, entry_below)

    for row, entry in zip(shown, entries, strict=True):
        same(row, entry)
    acts = [entry for entry in entries if entry.activate]
    for entry in acts:
        entry.activate()
    assert clicked == [Act.CHECK_NOW, Act.SEND_TEST_MAIL, Act.QUIT]


def test_pystrays_own_icon_shows_the_status(native):
    """Windows and macOS: icon, tooltip and menu follow the view, and a click asks for its act."""
    backend, clicked = native
    backend.present(view(status(Level.CRITICAL)))
    assert backend.icon.title == "gpuwatch GPU 1 is lost"
    assert backend.icon.icon.getpixel((32, 12))[:3] == (0xD5, 0x5E, 0x00)
    (check,) = [item for item in backend.icon.menu.items if item.text == "Check now"]
    check(backend.icon)
    assert clicked == [Act.CHECK_NOW]


def test_a_menu_that_is_open_is_not_replaced(native):
    """What comes meanwhile waits, the latest wins, and it is shown when the menu closes."""
    backend, _ = native
    backend.present(view(status()))
    before = backend.icon.menu
    backend.menu_shown(is_open=True)
    backend.present(view(status(Level.WARNING)))
    backend.present(view(status(Level.CRITICAL)))
    assert backend.icon.menu is before
    backend.menu_shown(is_open=False)
    assert backend.icon.title.endswith("GPU 1 is lost")
    assert backend.icon.menu is not before


def test_an_unchanged_menu_is_not_rebuilt(native):
    """Windows destroys a menu at each change, so there must be one."""
    backend, _ = native
    backend.present(view(status()))
    before = backend.icon.menu
    backend.present(view(status()))
    assert backend.icon.menu is before
    backend.present(view(status(shown=snapshot(processes=[process(7)]))))
    assert backend.icon.menu is not before


def test_the_native_tray_drains_its_jobs_and_stops(native):
    """Jobs posted before and during `run` are done, and `stop` ends it."""
    backend, _ = native
    done = []
    backend.post(lambda: done.append("before"))

    def ready():
        backend.post(lambda: done.append("during"))
        backend.stop()

    backend.run(ready)
    assert done == ["before", "during"]
    assert backend.icon.visible


def test_the_native_popup_is_the_icons_own(native):
    """Title and body reach pystray's notify in its order."""
    backend, _ = native
    backend.notify("GPU limit", "3 of 2")
    assert backend.icon.popups == [("GPU limit", "3 of 2")]


def test_a_tooltip_is_cut_between_characters():
    """Windows takes 127 UTF-16 units; a pair is never split."""
    assert clip("a" + "\N{ROBOT FACE}" * 80, 127) == "a" + "\N{ROBOT FACE}" * 63
    assert clip("short", 127) == "short"
