"""What the system tells of a process: errors are Python's own, a zombie is told from one that is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager

import psutil  # looks from outside
import pytest

from gpuwatch_tray.sources.system_process import SystemProcess, ZombieError
from tests.support.timing import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
NOBODY = 4_194_304  # Linux gives PIDs below its pid_max, which is this at most (proc(5))


@contextmanager
def zombie():
    """A process that has ended, and whose parent has not asked."""
    with subprocess.Popen(["true"]) as process:
        wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, "its end")
        yield process.pid


def test_a_process_has_an_owner_a_name_arguments_a_folder_and_a_parent(tmp_path):
    """As it was started."""
    with subprocess.Popen(["cat", "-u"], stdin=subprocess.PIPE, cwd=tmp_path) as process:
        told = SystemProcess(process.pid)
        # The kernel has its name a moment before its arguments.
        wait_until(lambda: told.arguments() == ["cat", "-u"], "its program")
        assert (told.owner()[0], told.name()) == (os.getuid(), "cat")
        assert (told.folder(), told.parent()) == (str(tmp_path), os.getpid())
        process.stdin.close()


def test_a_zombie_has_a_name_and_an_owner_but_neither_arguments_nor_folder():
    """Of the latter it says that it has ended, and not that it is gone."""
    with zombie() as pid:
        process = SystemProcess(pid)
        assert (process.name(), process.owner()[0], process.parent()) == ("true", os.getuid(), os.getpid())
        for question in (process.arguments, process.folder):
            with pytest.raises(ZombieError):
                question()


def test_a_process_that_is_gone_is_none():
    """Nothing is made up."""
    with pytest.raises(ProcessLookupError):
        SystemProcess(NOBODY)


def test_what_may_not_be_asked_is_pythons_own_error(monkeypatch):
    """One kind of error, whichever library is asked."""
    process = SystemProcess(os.getpid())

    def refuse(_process):
        raise psutil.AccessDenied(os.getpid())

    monkeypatch.setattr(psutil.Process, "cmdline", refuse)
    with pytest.raises(PermissionError):
        process.arguments()
