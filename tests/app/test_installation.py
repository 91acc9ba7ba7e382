"""The program's own files under it: when it starts anew, and what it says where it cannot."""

from __future__ import annotations

import os

import pytest

from gpuwatch_tray.app import installation, tray_app
from gpuwatch_tray.app.context import RunContext, SourceKind, store_lock
from gpuwatch_tray.app.installation import RESTARTED, Installation, InstallationWatch, Relaunch, look
from gpuwatch_tray.common import host
from gpuwatch_tray.settings import Settings
from tests.support.fakes import Clock, FakePopups

RUNNING = Installation("1.0", (1, 10), (5, 50))
NEW = Installation("1.1", (2, 10), (5, 50))
GONE = Installation(None, None, (5, 50))
NO_INTERPRETER = Installation("1.0", (1, 10), None)


class Monitor:
    def __init__(self):
        self.program_trouble, self.told = "", []

    def set_program_trouble(self, trouble):
        self.program_trouble = trouble
        self.told.append(trouble)


class Machine:
    """A machine whose files the test changes."""

    def __init__(self, *, can_restart=True, restarted=False):
        self.files, self.why, self.free = RUNNING, "", True
        self.trials, self.restarts = 0, []
        self.monitor, self.popups, self.clock = Monitor(), FakePopups(), Clock(0.0)
        self.watch = InstallationWatch(
            self.monitor,
            self.popups,
            (lambda: self.restarts.append(self.clock())) if can_restart else None,
            lambda: self.free,
            look=lambda: self.files,
            trial=self.trial,
            monotonic=self.clock,
            restarted=restarted,
        )

    def trial(self):
        self.trials += 1
        return self.why

    def looks(self, number, files=None):
        if files is not None:
            self.files = files
        for _ in range(number):
            self.clock.advance(10)
            self.rest = self.watch.check()


def test_nothing_changes_and_nothing_happens():
    """No trial is made: that costs a process."""
    machine = Machine()
    machine.looks(20)
    assert machine.rest == 30
    assert (machine.trials, machine.restarts, machine.monitor.told, machine.popups.shown) == (0, [], [], [])


def test_a_new_version_that_has_come_to_rest_is_started():
    """Not while it is being written: what is the same at two looks counts."""
    machine = Machine()
    machine.looks(1, GONE)
    assert machine.rest is None
    machine.looks(1, Installation("1.1", None, (5, 50)))
    machine.looks(1, NEW)
    assert (machine.trials, machine.restarts) == (0, [])
    machine.looks(1)
    assert (machine.trials, len(machine.restarts)) == (1, 1)
    assert machine.popups.shown == []


@pytest.mark.parametrize("files", [GONE, NO_INTERPRETER, NEW])
def test_what_cannot_be_used_is_told_once_and_tried_each_minute(files):
    """In the status and by one popup; nothing is started until it works."""
    machine = Machine()
    machine.why = "ModuleNotFoundError: No module named 'gpuwatch_tray'"
    machine.looks(30, files)
    assert len(machine.monitor.told) == 1
    assert machine.why in machine.monitor.program_trouble
    assert "install it again" in machine.monitor.program_trouble
    (popup,) = machine.popups.shown
    assert popup.body == machine.monitor.program_trouble
    assert 4 <= machine.trials <= 6
    assert machine.restarts == []
    machine.why = ""
    machine.looks(7)
    assert machine.monitor.program_trouble == ""
    assert machine.popups.closed == [popup.key]
    assert machine.restarts


def test_files_that_come_back_as_they_were_need_no_new_start():
    """A folder that was renamed for a moment."""
    machine = Machine()
    machine.why = "gone"
    machine.looks(3, GONE)
    assert machine.monitor.program_trouble
    machine.looks(3, RUNNING)
    assert (machine.monitor.program_trouble, machine.restarts) == ("", [])
    assert machine.popups.closed == [machine.popups.shown[0].key]


def test_it_waits_while_something_would_be_lost():
    """A state that is in memory only, as on a full disk, or a driver that hangs."""
    machine = Machine()
    machine.free = False
    machine.looks(10, NEW)
    assert machine.restarts == []
    machine.free = True
    machine.looks(1)
    assert len(machine.restarts) == 1


def test_who_was_started_by_itself_waits_ten_minutes_for_the_next_time():
    """Files that never come to rest make no loop."""
    machine = Machine(restarted=True)
    machine.looks(59, NEW)
    assert machine.restarts == []
    machine.looks(2)
    assert machine.restarts


def test_where_a_process_cannot_be_replaced_a_person_is_asked_to():
    """Windows; the new version is on disk, and the old one runs."""
    machine = Machine(can_restart=False)
    machine.looks(10, NEW)
    assert "restart gpuwatch-tray" in machine.monitor.program_trouble
    assert len(machine.popups.shown) == 1


@pytest.fixture
def files(tmp_path):
    """An installation as pip leaves it; the paths of its package, its note and its interpreter."""
    package, note = tmp_path / "gpuwatch_tray", tmp_path / "gpuwatch_tray-1.0.dist-info" / "RECORD"
    package.mkdir()
    note.parent.mkdir()
    (package / "__init__.py").write_text('"""Docs."""\n\n__version__ = "1.0"\n')
    note.write_text("")
    interpreter = tmp_path / "python"
    interpreter.symlink_to(tmp_path / "python3.11")
    (tmp_path / "python3.11").write_text("")
    return package, note, interpreter


@pytest.mark.parametrize("part", ["version", "note", "interpreter", "package gone", "interpreter gone"])
def test_each_part_of_an_installation_is_looked_at(files, part):
    """An upgrade, the same version once more, another Python behind the link, and what is not there."""
    package, note, interpreter = files
    before = look(package, str(interpreter))
    assert before.version == "1.0"
    assert None not in {before.installed, before.interpreter}
    assert look(package, str(interpreter)) == before
    if part == "version":
        (package / "__init__.py").write_text('__version__ = "1.1"\n')
    elif part == "note":
        os.utime(note, ns=(0, 0))
    elif part == "interpreter":
        interpreter.resolve().write_text("another")
    elif part == "package gone":
        package.rename(package.with_name("elsewhere"))
    else:
        interpreter.resolve().unlink()
    assert look(package, str(interpreter)) != before


def test_the_trial_is_of_this_interpreter(monkeypatch, tmp_path):
    """It finds the package; where it does not, or there is none, it says why."""
    assert installation.trial() == ""
    monkeypatch.setattr(installation, "TRIAL", "import no_such_module")
    assert installation.trial() == "ModuleNotFoundError: No module named 'no_such_module'"
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert installation.trial() == f"{tmp_path}/python: No such file or directory"


class BecomesAnotherError(Exception):
    """Stands for the end of this program's code in its process."""


@pytest.mark.parametrize("ended", [True, False])
def test_the_new_program_gets_the_same_words_and_finds_the_lock_free(monkeypatch, tmp_path, ended):
    """Also where a call of the driver is stuck, beside which the process would leave without a word."""
    context = RunContext(
        Settings(tmp_path / "gpu-watch.env", tmp_path / "state"), (), SourceKind.NVML, "box", "ada"
    )
    became = []

    def execve(program, command, environment):
        became.append((program, command, environment[RESTARTED], store_lock(context).is_free()))
        raise BecomesAnotherError

    def show(_context, _bus, _lease, _why, relaunch):
        relaunch.wanted = True
        return ended

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(tray_app, "_show", show)
    monkeypatch.setattr("sys.argv", ["/usr/bin/gpuwatch-tray", "--source", "nvml"])

    def run(relaunch):
        tray_app._run(context, None, "", relaunch)
        relaunch.start_anew()

    with pytest.raises(BecomesAnotherError):
        run(Relaunch())
    program, *_ = host.this_program()
    assert became == [(program, [*host.this_program(), "--source", "nvml"], "1", True)]
