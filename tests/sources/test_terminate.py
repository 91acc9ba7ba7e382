"""TerminationResult a process: the right one, only one's own, and what became of it; with real children."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from gpuwatch_tray.sources import processes
from gpuwatch_tray.sources import terminate as termination
from gpuwatch_tray.sources.processes import ProcessFacts, ProcessInspector, is_alive, own_ancestry
from gpuwatch_tray.sources.terminate import (
    PATIENCE,
    PendingTerminations,
    ProcessTarget,
    TerminationResult,
    terminate,
)

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
WAIT = "import sys; print('ready', flush=True); sys.stdin.read()"


@contextmanager
def child(before="", *words):
    """Start a child that waits; yield it and its identity."""
    command = [sys.executable, "-c", before + WAIT, *words]
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        running.stdout.readline()
        yield running, identity(running.pid)
    finally:
        running.kill()
        running.communicate(timeout=60)


def identity(pid):
    return ProcessInspector().inspect_all([pid])[pid].identity


@pytest.fixture(autouse=True)
def _first_namespace(monkeypatch):
    """Also where the tests run in a container themselves."""
    monkeypatch.setattr(termination, "sees_host_pids", lambda: True)


@pytest.fixture(params=["descriptor", "number", "old kernel"])
def way(request, monkeypatch):
    """With a process descriptor, without one in this Python, and on a kernel that has none."""
    if request.param == "number":
        monkeypatch.delattr(os, "pidfd_open")
    if request.param == "old kernel":

        def refuse(pid):
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr(os, "pidfd_open", refuse)


def test_ones_own_process_is_asked_to_end(way):
    """SIGTERM reaches the process of that PID and identity, and it ends of it."""
    with child() as (running, who):
        assert is_alive(running.pid, who)
        assert terminate(running.pid, who) is TerminationResult.SIGNALLED
        assert running.wait(60) == -signal.SIGTERM


def test_a_process_that_ignores_the_request_can_be_killed(way):
    """SIGTERM leaves it alive, SIGKILL does not."""
    with child(DEAF) as (running, who):
        assert terminate(running.pid, who) is TerminationResult.SIGNALLED
        assert is_alive(running.pid, who)
        assert terminate(running.pid, who, kill=True) is TerminationResult.KILLED
        assert running.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("wrong", ["1", "", "another"])
def test_a_process_of_another_identity_is_left_alone(way, wrong):
    """A PID that was reused since the menu was drawn belongs to somebody who is not meant."""
    with child() as (running, who):
        assert terminate(running.pid, wrong) is TerminationResult.ANOTHER
        assert not is_alive(running.pid, wrong)
        assert is_alive(running.pid, who)


def test_a_process_that_has_ended_is_said_to_have_ended(way):
    """Both as a zombie that its parent has not yet fetched, and when it is gone altogether."""
    with child() as (running, who):
        running.kill()
        os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)  # dead, and not fetched
        assert terminate(running.pid, who) is TerminationResult.ENDED_ALREADY
        assert not is_alive(running.pid, who)
        running.wait(60)
        assert terminate(running.pid, who) is TerminationResult.ENDED_ALREADY
        assert not is_alive(running.pid, who)


def test_a_process_that_ends_between_the_check_and_the_signal_is_no_error(monkeypatch):
    """The signal that finds nobody says so."""
    with child() as (running, who):

        def gone(*_):
            raise ProcessLookupError(errno.ESRCH, "No such process")

        monkeypatch.setattr(signal, "pidfd_send_signal", gone)
        assert terminate(running.pid, who) is TerminationResult.ENDED_ALREADY


def test_what_the_system_refuses_is_said_and_logged(monkeypatch, caplog):
    """A process under a user id of its own program may be one's own and yet not take the signal."""
    caplog.set_level("INFO")
    with child() as (running, who):

        def refuse(*_):
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
        assert terminate(running.pid, who) is TerminationResult.REFUSED
    assert "refused by the system: Operation not permitted" in caplog.text


@pytest.mark.parametrize("mine", [False, None])
def test_a_process_of_somebody_else_is_never_signalled(monkeypatch, mine):
    """Whoever runs this as root could; the menu's promise holds for root too."""
    with child() as (running, who):
        facts = ProcessInspector().inspect_all([running.pid])[running.pid]
        values = {name: getattr(facts, name) for name in ProcessFacts.__slots__}
        monkeypatch.setattr(ProcessInspector, "inspect", lambda *_: ProcessFacts(**{**values, "mine": mine}))
        assert terminate(running.pid, who) is TerminationResult.NOT_MINE
        assert running.poll() is None


def test_in_a_container_what_holds_no_driver_is_not_ended(monkeypatch, tmp_path):
    """The driver may have meant one outside of it; what has the driver open is meant indeed."""
    monkeypatch.setattr(termination, "sees_host_pids", lambda: False)
    device = tmp_path / "nvidia0"
    device.touch()
    monkeypatch.setattr(processes, "DRIVER_FILES", (str(device),))
    with (
        child() as (running, who),
        child("held = open(__import__('sys').argv[1]);", device) as (other, whose),
    ):
        assert terminate(running.pid, who) is TerminationResult.OUTSIDE
        assert running.poll() is None
        assert terminate(other.pid, whose) is TerminationResult.SIGNALLED
        assert other.wait(60) == -signal.SIGTERM


@pytest.mark.parametrize("kill", [False, True])
def test_the_first_process_ourselves_and_our_parents_are_protected(kill):
    """No click ends init, this program, or the shell and session that it runs under."""
    assert {os.getpid(), os.getppid()} <= own_ancestry()
    for pid in (-1, 0, 1, *own_ancestry()):
        assert terminate(pid, identity(pid) if pid > 1 else "1", kill=kill) is TerminationResult.PROTECTED


def test_each_act_is_logged_with_the_program_and_never_its_arguments(caplog):
    """PID, program and outcome stand in the log, a password on the command line does not."""
    caplog.set_level("INFO")
    with child("", "--password", "hunter22") as (running, who):
        terminate(running.pid, who)
        (line,) = [record.getMessage() for record in caplog.records if record.name.endswith(".terminate")]
        assert line.startswith(f"end process: PID {running.pid} (python")
        assert line.endswith("): asked to end")
    assert "hunter22" not in caplog.text


def test_a_target_survives_its_way_through_a_row():
    """What is written as PID:IDENTITY is read as the same; anything else is an error."""
    assert ProcessTarget.parse(str(ProcessTarget(12, "9:1.5"))) == (12, "9:1.5")
    for wrong in ("", "12", "12:", ":x", "x:1", "-1:1"):
        with pytest.raises(ValueError, match="not a process"):
            ProcessTarget.parse(wrong)


def test_killing_is_offered_after_ten_seconds_and_only_while_it_lives():
    """Not before, not for one that has ended; asking again gives no more time, a kill does."""
    living = {(7, "a"), (8, "b")}
    endings = PendingTerminations()
    assert not endings.pending()
    for pid, who in sorted(living):
        endings.add(pid, who, 100.0)
    endings.add(7, "a", 105.0)

    def look(now):
        return endings.unresponsive(now, lambda pid, who: (pid, who) in living)

    assert look(100.0 + PATIENCE - 0.1) == ()
    assert look(100.0 + PATIENCE) == (ProcessTarget(7, "a"), ProcessTarget(8, "b"))
    endings.add(7, "a", 111.0, kill=True)
    assert look(112.0) == (ProcessTarget(8, "b"),)
    living.clear()
    assert look(130.0) == ()
    assert not endings.pending()


def test_a_deaf_child_is_unresponsive_until_it_is_killed():
    """With real processes and a clock that is handed in."""
    endings = PendingTerminations()
    with child(DEAF) as (running, who):
        terminate(running.pid, who)
        endings.add(running.pid, who, 0.0)
        assert endings.unresponsive(PATIENCE) == (ProcessTarget(running.pid, who),)
        terminate(running.pid, who, kill=True)
        running.wait(60)
        assert endings.unresponsive(PATIENCE) == ()
