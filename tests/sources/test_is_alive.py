"""Whether a process of this machine still runs, and who has started it, asked of the system."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from gpuwatch_tray.sources import processes
from tests.support.timing import PATIENCE

ME = os.getpid()


@pytest.fixture
def cat():
    """Start a process that waits until its input ends."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process
        process.stdin.close()


def test_a_process_lives_until_it_ends(cat):
    """Also before its parent has fetched it; another of its number is not it, and unknown is not told."""
    identity, _ = processes.process_identity(cat.pid)
    assert processes.is_alive(cat.pid, identity) is True
    assert processes.is_alive(cat.pid, f"{identity}0") is False
    assert processes.is_alive(cat.pid, "") is None
    cat.kill()
    until = time.monotonic() + PATIENCE
    while processes.is_alive(cat.pid, identity):
        assert time.monotonic() < until
    cat.wait()
    assert processes.is_alive(cat.pid, identity) is False


@pytest.mark.parametrize("name", ["pid:[4026532000]", None])
def test_in_a_container_its_own_processes_end_as_well(cat, namespace, name):
    """What the driver calls its processes there is another matter."""
    namespace(name)
    identity, _ = processes.process_identity(cat.pid)
    assert processes.is_alive(cat.pid, identity) is True
    cat.kill()
    cat.wait()
    assert processes.is_alive(cat.pid, identity) is False


def test_who_has_started_whom():
    """Through others too, never the other way round, and never of what is gone."""
    code = "import subprocess; subprocess.run(['sh', '-c', 'echo $$; read x; exit 0'])"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as launcher:
        worker = int(launcher.stdout.readline())
        assert processes.is_descendant(worker, launcher.pid)
        assert processes.is_descendant(worker, ME)
        assert not processes.is_descendant(launcher.pid, worker)
        assert not processes.is_descendant(launcher.pid, launcher.pid)
        launcher.communicate("\n")
    assert not processes.is_descendant(worker, launcher.pid)
