"""A /proc that hides the processes of others (hidepid=2): their owners are not known, and that is said."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from gpuwatch_tray.sources.processes import sees_host_pids
from tests.driver.scenario import FakeGpu, FakeProcess, Scenario
from tests.support.installed import MIB
from tests.support.mounts import with_own_mounts

pytestmark = [
    pytest.mark.driver,
    pytest.mark.skipif(
        os.name != "posix" or os.geteuid() != 0 or shutil.which("unshare") is None,
        reason="only root may mount a /proc of its own",
    ),
]
# Root without these, and without the group that hidepid excepts, sees of others as little as any user does.
PLAIN_USER = "setpriv --regid 54321 --clear-groups --bounding-set=-sys_ptrace,-kill --inh-caps=-all"
SOMEBODY = 12345
IN_A_CONTAINER = not sees_host_pids()  # in a PID namespace of its own


@pytest.fixture
def shared(installed):
    """A GPU with a process of somebody else, and return how to run the program where /proc hides it."""
    theirs = subprocess.Popen(["setpriv", "--reuid", str(SOMEBODY), "--clear-groups", "sleep", "60"])
    mine = subprocess.Popen([*PLAIN_USER.split(), "sleep", "60"])
    processes = [FakeProcess(child.pid, 1000 * MIB) for child in (theirs, mine)]
    installed.play(Scenario(gpus=[FakeGpu.numbered(0, *processes)]))

    def run(*words):
        script = f"mount -t proc -o hidepid=2 proc /proc && exec {PLAIN_USER} {installed.script} "
        done = subprocess.run(
            with_own_mounts(script + " ".join(words)),
            env=installed.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=installed.folder,
        )
        if "unshare:" in done.stderr or "mount:" in done.stderr:
            pytest.skip("no mounting here")
        return done

    yield run, theirs.pid, mine.pid
    for child in (theirs, mine):
        child.kill()
        child.wait()


def test_ps_lists_mine_and_says_of_how_many_the_owner_is_not_known(shared):
    """Exit code 1, as for anything that could not be read; with --all too."""
    run, theirs, mine = shared
    done = run("ps")
    if IN_A_CONTAINER:  # there one PID that is nobody's takes the trust from all
        assert (done.returncode, done.stdout, "of this container" in done.stderr) == (1, "", True)
        return
    assert re.findall(r"PID=(\d+)", done.stdout) == [str(mine)]
    line = "the owner of 1 process is not known: the system hides the processes of others (/proc has hidepid)"
    assert (done.returncode, done.stderr) == (1, f"gpuwatch-tray: {line}\n")
    everyone = run("ps", "--all")
    assert re.findall(r"PID=(\d+) .*USER=(\S+)", everyone.stdout) == [(str(theirs), "?"), (str(mine), "root")]
    assert (everyone.returncode, line in everyone.stderr) == (1, True)


def test_check_says_it_and_mails_what_is_certain(shared, installed, server):
    """The limits are open, with the reason and the setting to change; PROCESS_SCOPE=all needs no owner."""
    run, *_ = shared
    done = run("check")
    assert (done.returncode, done.stdout) == (1, "")
    why = "the driver's process numbers" if IN_A_CONTAINER else "the system hides the processes"
    assert f"the owners of some processes are not known: {why}" in done.stderr
    assert "PROCESS_SCOPE=all" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    installed.configure(PROCESS_SCOPE="all", GPU_LIMIT=0, MAX_ETIME_MIN="off")
    assert run("check").returncode == 0
    assert len(server.messages) == 1
