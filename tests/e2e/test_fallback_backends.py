"""pystray's appindicator, gtk and xorg on a real panel, with PyGObject from the system as a user has it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from tests.e2e import rig
from tests.support.timing import PATIENCE, wait_until

pytestmark = pytest.mark.desktop

ROOT = Path(__file__).parent.parent.parent
SYSTEM = Path("/usr/lib/python3/dist-packages/gi")

# A tray by itself: the backend of `select_backend`, a view or two as asked by standard input, and Quit.
PROGRAM = """
import logging, os, signal, sys, threading
from gpuwatch_tray import drawing
from gpuwatch_tray.desktop.dbus import SessionBus
from gpuwatch_tray.model import Level
from gpuwatch_tray.tray.backends import select
from gpuwatch_tray.tray.backends.base import TrayView
from gpuwatch_tray.tray.menu import ActionKind, MenuAction, MenuRow

def say(*words): print(*words, flush=True)

logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="log: %(message)s")
bus = SessionBus.connect() if sys.argv[1] == "bus" else None
backend = select.select_backend(
    bus, "gpuwatch-tray", lambda action: say("did", action.kind.name, action.target))
say("chose", type(getattr(backend, "_backend", backend)).__name__)
if backend is None:
    backend = select.headless_backend(bus)
signal.signal(signal.SIGTERM, lambda *_: backend.stop())

def view(level, word):
    rows = (MenuRow("a", word + " a_b & c", MenuAction(ActionKind.CHECK_NOW, word)), MenuRow("line"),
            MenuRow("p", "more", children=(MenuRow("q", "below"),)))
    return TrayView(drawing.IconLook(level), "gpuwatch " + word, rows)

def listen():
    for line in sys.stdin:
        level, word = line.split()
        backend.post(lambda level=level, word=word: backend.present(view(Level[level], word)))

backend.post(lambda: backend.present(view(Level.WARNING, "first")))
def ready():
    if bus is not None:
        bus.call(__import__("gpuwatch_tray.desktop.dbus.connection").desktop.dbus.connection.DAEMON, "GetId")
        say("the bus answers")
    threading.Thread(target=listen, daemon=True).start()
    say("ready")
backend.run(ready)
if bus is not None:
    bus.close()
say("ended")
"""


class Program:
    """The program above, on the desktop."""

    def __init__(self, desk, folder, kind, *, bus=True, gi=True):
        self.log = folder / "program.log"
        packages = folder / "packages"
        packages.mkdir()
        if gi:
            (packages / "gi").symlink_to(SYSTEM)  # not the folder: it holds much else that is not ours
        temporary = folder / "tmp"
        temporary.mkdir()
        environment = desk.environment | {
            "PYTHONPATH": os.pathsep.join([str(packages), str(ROOT)]),
            "TMPDIR": str(temporary),
        }
        if kind:
            environment["PYSTRAY_BACKEND"] = kind
        if not bus:
            del environment["DBUS_SESSION_BUS_ADDRESS"]
        self.temporary = temporary
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "bus" if bus else "alone"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    def text(self):
        return self.log.read_text()

    def wait_for(self, text):
        wait_until(lambda: text in self.text(), f"{text!r} in {self.text()!r}", timeout=60)

    def show(self, level, word):
        self.process.stdin.write(f"{level.name} {word}\n".encode())
        self.process.stdin.flush()

    def stop(self):
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def close(self):
        self.process.stdin.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)


@pytest.fixture
def start_program(desk, tmp_path):
    if not SYSTEM.is_dir():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("the fallbacks need python3-gi")
    running = []

    def begin(*words, **more):
        running.append(Program(desk, tmp_path, *words, **more))
        return running[-1]

    yield begin
    for program in running:
        program.close()


@pytest.mark.parametrize("bus", [True, False], ids=["bus", "no-bus"])
@pytest.mark.parametrize("kind", ["appindicator", "gtk"])
def test_a_fallback_draws_the_icon_and_a_menu_that_acts(desk, start_program, tmp_path, kind, bus):
    """Icon by state, a menu whose click does its action, a quiet end without anything left behind."""
    program = start_program(kind, bus=bus)
    program.wait_for("ready")
    assert "chose GtkBackend" in program.text()
    assert ("the bus answers" in program.text()) == bus
    position = desk.icon_position(drawing.COLOURS[Level.WARNING], timeout=60)

    closed = desk.windows()
    desk.right_click(position)
    wait_until(lambda: desk.windows() - closed, "the menu's window")
    rig.settle()
    desk.screenshot(rig.shots(tmp_path / "shots") / f"fallback-{kind}-{'bus' if bus else 'alone'}.png")
    desk.key("Down", "Return")
    program.wait_for("did CHECK_NOW first")

    program.show(Level.CRITICAL, "second")
    position = desk.icon_position(drawing.COLOURS[Level.CRITICAL], timeout=60)
    closed = desk.windows()
    desk.right_click(position)
    wait_until(lambda: desk.windows() - closed, "the menu's window")
    desk.key("Down", "Return")
    program.wait_for("did CHECK_NOW second")

    assert program.stop() == 0
    assert program.text().endswith("ended\n")
    assert "Traceback" not in program.text()
    desk.icon_gone(drawing.COLOURS[Level.CRITICAL])
    assert not list(program.temporary.glob("gpuwatch-tray-icon-*"))


def test_an_open_menu_of_gtk_stays_open_and_still(desk, start_program):
    """What changes meanwhile is shown when it has closed."""
    program = start_program("gtk")
    position = desk.icon_position(drawing.COLOURS[Level.WARNING], timeout=60)
    closed = desk.windows()
    desk.right_click(position)
    opened = wait_until(lambda: desk.windows() - closed, "the menu's window")
    program.show(Level.CRITICAL, "second")
    rig.settle(1.0)
    assert opened <= desk.windows()
    desk.key("Down", "Return")
    program.wait_for("did CHECK_NOW first")  # the row that the hand saw
    desk.icon_position(drawing.COLOURS[Level.CRITICAL], timeout=60)


def test_xorg_draws_where_it_is_asked_for(desk, start_program):
    """It has no menu, but the icon follows the state, and the end is as quiet."""
    program = start_program("xorg")
    program.wait_for("ready")
    assert "chose XorgBackend" in program.text()
    desk.icon_position(drawing.COLOURS[Level.WARNING], timeout=60)
    program.show(Level.CRITICAL, "second")
    desk.icon_position(drawing.COLOURS[Level.CRITICAL], timeout=60)
    assert program.stop() == 0
    assert program.text().endswith("ended\n")
    desk.icon_gone(drawing.COLOURS[Level.CRITICAL])


def test_without_a_bus_the_fallback_is_chosen_unasked(desk, start_program):
    """No session bus: appindicator, which then falls back to the old kind of tray by itself."""
    program = start_program("", bus=False)
    program.wait_for("ready")
    assert "chose GtkBackend" in program.text()
    desk.icon_position(drawing.COLOURS[Level.WARNING], timeout=60)
    assert program.stop() == 0


def test_without_pygobject_it_is_headless_and_says_why(start_program):
    """Neither bus nor PyGObject: a line each, xorg is not taken, and the program lives and ends."""
    program = start_program("", bus=False, gi=False)
    program.wait_for("ready")
    logged = [line for line in program.text().splitlines() if line.startswith("log: ")]
    assert [line.split(":")[1].strip() for line in logged] == ["no icon by appindicator", "no icon by gtk"]
    assert all("python3-gi" in line for line in logged)
    assert "chose NoneType" in program.text()
    assert program.stop() == 0


def test_a_backend_that_is_missing_falls_through_to_our_own(desk, start_program):
    """PYSTRAY_BACKEND=gtk without PyGObject, on a bus: the icon is there all the same."""
    program = start_program("gtk", gi=False)
    program.wait_for("ready")
    assert "log: no icon by gtk" in program.text()
    assert "chose StatusNotifierBackend" in program.text()
    desk.icon_position(drawing.COLOURS[Level.WARNING], timeout=60)
    assert program.stop() == 0
    desk.icon_gone(drawing.COLOURS[Level.WARNING])
