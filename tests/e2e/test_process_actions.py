"""What the rows of a process do, from the click on the bus to the process itself."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack

import pytest
from dbus_fast import Variant  # the tests speak the protocol too
from msgspec.structs import replace

from gpuwatch_tray.desktop.dbus import SessionBus
from gpuwatch_tray.model import ProcessKind
from gpuwatch_tray.sources import terminate as termination
from gpuwatch_tray.sources.processes import ProcessInspector
from gpuwatch_tray.sources.terminate import (
    PATIENCE,
    PendingTerminations,
    ProcessTarget,
    TerminationResult,
    terminate,
)
from gpuwatch_tray.tray import ActionKind, MenuExtras, Tray
from tests.e2e.rig import menu_row
from tests.support.timing import wait_until
from tests.support.tray_status import gpu, snapshot, status

pytestmark = pytest.mark.desktop

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
WAIT = "import sys; print('ready', flush=True); sys.stdin.read()"
MENU = "com.canonical.dbusmenu"


@pytest.fixture
def start_child():
    """Start children that wait; all end with the test."""
    started = []

    def begin(before=""):
        child = subprocess.Popen(
            [sys.executable, "-c", before + WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(child)
        child.stdout.readline()
        return child

    yield begin
    for child in started:
        child.kill()
        child.communicate(timeout=60)


class Clicked:
    """A tray whose rows end real processes, the copied texts, and a hand that clicks as a host does."""

    def __init__(self, address, client):
        self.client = client
        self.endings = PendingTerminations()
        self.outcomes = []
        self.copied = []
        self.bus = SessionBus.connect(address)
        actions = {
            ActionKind.END: self._end,
            ActionKind.KILL: lambda target: self._end(target, kill=True),
            ActionKind.COPY_PID: self.copied.append,
            ActionKind.COPY_COMMAND: self.copied.append,
        }
        self.tray = Tray(self.bus, actions)

    def _end(self, target, *, kill=False):
        pid, identity = ProcessTarget.parse(target)
        self.outcomes.append(terminate(pid, identity, kill=kill))
        self.endings.add(pid, identity, 0.0, kill=kill)

    def show(self, *children, **more):
        facts = ProcessInspector().inspect_all([child.pid for child in children]).values()
        held = [replace(one.on_gpu(0, frozenset({ProcessKind.COMPUTE}), 1), **more) for one in facts]
        self.tray.show(status(shown=snapshot([gpu(0)], held)))

    def rows(self):
        peer = (self.bus.name, "/MenuBar", MENU)
        _revision, layout = self.client.call(peer, "GetLayout", "iias", 0, -1, [])
        return {row.label: row for top in menu_row(layout).children for row in top.walk()}

    def row(self, label):
        return wait_until(lambda: self.rows().get(label), f"the row {label!r}")

    def click(self, row):
        peer = (self.bus.name, "/MenuBar", MENU)
        self.client.call(peer, "Event", "isvu", row.id, "clicked", Variant("i", 0), 0)

    def outcome(self):
        """Return the outcome of the next action."""
        wait_until(lambda: self.outcomes, "the action")
        return self.outcomes.pop(0)


@pytest.fixture
def clicks(address, client, monkeypatch):
    """Run the tray as outside of a container, wherever the tests run."""
    monkeypatch.setattr(termination, "sees_host_pids", lambda: True)
    made = Clicked(address, client)
    ready = threading.Event()
    life = threading.Thread(target=made.tray.run, args=(ready.set,))
    with ExitStack() as stack:
        stack.callback(made.bus.close)
        stack.callback(life.join, 5)
        stack.callback(made.tray.stop)
        life.start()
        assert ready.wait(60)
        yield made
    assert not life.is_alive()


def test_the_confirming_row_ends_the_process_that_it_names(clicks, start_child):
    """Of two children the one whose row was clicked gets SIGTERM."""
    one, other = start_child(), start_child()
    clicks.show(one, other)
    clicks.click(clicks.row(f"End PID {one.pid} ({name()}) now"))
    assert clicks.outcome() is TerminationResult.SIGNALLED
    assert one.wait(60) == -signal.SIGTERM
    assert other.poll() is None


def test_the_first_row_alone_ends_nothing(clicks, start_child):
    """It only unfolds: a click on "End process…" is no click."""
    child = start_child()
    clicks.show(child)
    clicks.click(clicks.row("End process…"))
    clicks.click(clicks.row("Copy PID"))
    wait_until(lambda: clicks.copied == [str(child.pid)], "the later action")
    assert clicks.outcomes == []
    assert child.poll() is None


def test_a_number_that_was_reused_since_the_menu_was_drawn_is_spared(clicks, start_child):
    """The row was of another process; the click finds out and touches nothing."""
    child = start_child()
    clicks.show(child, identity="of one that has ended")
    clicks.click(clicks.row(f"End PID {child.pid} ({name()}) now"))
    assert clicks.outcome() is TerminationResult.ANOTHER
    assert child.poll() is None


def test_a_process_that_does_not_end_is_offered_to_be_killed(clicks, start_child):
    """SIGTERM is ignored, ten seconds later the row is there, and its confirmation kills."""
    child = start_child(DEAF)
    clicks.show(child)
    clicks.click(clicks.row(f"End PID {child.pid} ({name()}) now"))
    assert clicks.outcome() is TerminationResult.SIGNALLED
    wait_until(lambda: clicks.endings._since, "it to be noted")
    clicks.tray.show_extras(MenuExtras(frozenset(clicks.endings.unresponsive(PATIENCE))))
    clicks.row(f"PID {child.pid} did not end: kill it…")
    clicks.click(clicks.row(f"Kill PID {child.pid} ({name()}) now"))
    assert clicks.outcome() is TerminationResult.KILLED
    assert child.wait(60) == -signal.SIGKILL
    clicks.tray.show_extras(MenuExtras(frozenset(clicks.endings.unresponsive(2 * PATIENCE))))
    wait_until(lambda: not any("did not end" in label for label in clicks.rows()), "the offer to go")


def test_ones_own_command_is_copied_as_it_would_run(clicks, start_child):
    """What the shell would take, from a process that runs."""
    child = start_child()
    clicks.show(child)
    clicks.click(clicks.row("Copy command"))
    wait_until(lambda: clicks.copied, "the action")
    assert clicks.copied[0].endswith(shlex.join(["-c", WAIT]))


def name():
    """How a python that runs `-c` is called in a row."""
    return sys.executable.rpartition("/")[2]
