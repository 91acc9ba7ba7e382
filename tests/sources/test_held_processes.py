"""That a process is never taken for another one, though its number is not looked up at each poll."""

from __future__ import annotations

import errno
import gc
import json
import os
import select
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psutil  # looks from outside
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwatch_tray.sources import processes
from gpuwatch_tray.sources.held_processes import MOST_HELD, PIDFD_OPEN, HeldProcesses, most_held
from gpuwatch_tray.sources.processes import CACHED_READS, PROGRAM_READS, ProcessInspector
from tests.support.timing import PATIENCE
from tests.support.workers import workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfd_open is Linux's")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def read_starts(monkeypatch):
    """Return the list to which the PID is added whenever the start of a process is read."""
    read = []
    real = processes.start_ticks
    monkeypatch.setattr(processes, "start_ticks", lambda pid: read.append(pid) or real(pid))
    return read


def pidfds():
    """How many files of this process tell of the end of another."""
    links = []
    for file in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(file.readlink()))
        except OSError:
            continue  # that of the folder itself
    return sum("pidfd" in link for link in links)


def wait_for_end(held, pid):
    """Wait until the system tells that a process that is held has ended."""
    assert select.select([held._files[pid]], [], [], PATIENCE)[0]


def test_of_processes_that_go_on_nothing_is_read(tmp_path, read_starts):
    """At the second poll each is held; from then on every twelfth asks whether its program has changed."""
    inspector = ProcessInspector()
    with workers(tmp_path, *([f"w{n}.py"] for n in range(12))) as held:
        pids = {worker.pid for worker in held}
        for _ in range(2):
            inspector.inspect_all(pids)
        read_starts.clear()
        polls = []
        for _ in range(PROGRAM_READS):
            before = len(read_starts)
            told = inspector.inspect_all(pids)
            polls.append(len(read_starts) - before)
        assert {one.command[-1] for one in told.values()} == {f"w{n}.py" for n in range(12)}
    # A poll in which all is asked anew of one reads its start twice.
    assert sum(polls) <= 2 * len(pids)
    assert max(polls) < len(pids), "those that were found together are not all asked together"
    inspector.close()


@pytest.mark.parametrize("reaped", [True, False])
def test_one_that_ends_is_told_at_the_next_poll(tmp_path, monkeypatch, reaped):
    """It is gone, or a zombie for as long as its parent has not asked: either way it has ended."""
    monkeypatch.setattr(processes, "sees_host_pids", lambda: True)  # these tests may run in a container
    inspector = ProcessInspector()
    with workers(tmp_path, ["a.py"], ["b.py"]) as (one, other):
        pids = {one.pid, other.pid}
        for _ in range(3):
            assert not any(facts.ended for facts in inspector.inspect_all(pids).values())
        one.kill()
        wait_for_end(inspector._held, one.pid)
        if reaped:
            one.wait(PATIENCE)
        for _ in range(3):
            told = inspector.inspect_all(pids)
            assert (told[one.pid].ended, told[other.pid].ended) == (True, False)
    inspector.close()


def test_a_process_goes_on_with_its_threads(tmp_path):
    """Where its first thread has ended: the kernel keeps its number, and it holds its GPU."""
    script = (
        "import ctypes, sys, threading\n"
        "threading.Thread(target=sys.stdin.read).start()\n"
        "print('ready', flush=True)\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    held = HeldProcesses()
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        held.hold(process.pid)
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            os.sched_yield()
        assert held.release_ended() == ()
        process.stdin.close()
        wait_for_end(held, process.pid)
        assert held.release_ended() == (process.pid,)


REUSE = """
import json, os, subprocess, time
from gpuwatch_tray.sources.processes import ProcessInspector

def start(name):
    child = subprocess.Popen(["cat", "-", "--", name], stdin=subprocess.PIPE)
    while not open(f"/proc/{child.pid}/cmdline").read().startswith("cat"):
        pass
    return child

inspector, told = ProcessInspector(), []
first = start("first")
for _ in range(3):
    facts = inspector.inspect_all([first.pid])[first.pid]
assert first.pid in inspector._held
told.append((facts.command, facts.identity))
first.kill()
first.wait()
while time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK") < int(facts.identity) + 2:
    pass  # the start of the second is to be another one
open("/proc/sys/kernel/ns_last_pid", "w").write(str(first.pid - 1))
second = start("second")
assert second.pid == first.pid, "the number was not used again"
for _ in range(3):
    facts = inspector.inspect_all([second.pid])[second.pid]
    told.append((facts.command, facts.identity))
second.kill()
second.wait()
print(json.dumps(told))
"""


def run_in_namespaces(script, proc):
    """Run a script of Python in a user and a PID namespace of its own."""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--pid", "--fork", proc, sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
    )
    if "unshare:" in done.stderr:
        pytest.skip("no namespaces here")
    return done


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare of util-linux")
def test_a_number_that_is_used_again_at_once_is_another_process():
    """In a PID namespace of its own, where the next number can be chosen: nothing of the first is told."""
    done = run_in_namespaces(REUSE, "--mount-proc")
    assert done.returncode == 0, done.stderr
    first, *after = [tuple(row) for row in json.loads(done.stdout)]
    assert first[0][-1] == "first"
    assert {command[-1] for command, _identity in after} == {"second"}
    assert first[1] not in {identity for _command, identity in after}


class Kernel:
    """A made-up kernel: numbers are used again, files tell of an end, and things happen between two calls."""

    def __init__(self):
        self.lives: dict[int, int] = {}  # by PID, which of all processes it is
        self.made = 0
        self.ends: dict[int, tuple[int, ...]] = {}  # by process, the ends of the pipes that tell of its own
        self.due: list[tuple[int, str, int]] = []  # after how many calls what happens to which number
        self.refusal: OSError | None = None

    def happen(self, what: str, pid: int) -> None:
        self.end(pid)
        if what == "reused":
            self.made += 1
            self.lives[pid] = self.made

    def end(self, pid: int) -> None:
        for file in self.ends.pop(self.lives.pop(pid, 0), ()):
            os.close(file)

    def call(self) -> None:
        """Every call lets time pass."""
        self.due = [(calls - 1, what, pid) for calls, what, pid in self.due]
        for calls, what, pid in self.due:
            if calls == 0:
                self.happen(what, pid)

    def pidfd_open(self, pid: int) -> int:
        self.call()
        if self.refusal is not None:
            raise self.refusal
        if pid not in self.lives:
            raise ProcessLookupError(errno.ESRCH, "No such process")
        told, end = os.pipe()
        self.ends[self.lives[pid]] = (*self.ends.get(self.lives[pid], ()), end)
        return told

    def start_ticks(self, pid: int) -> tuple[int, bytes, str, int]:
        self.call()
        if pid not in self.lives:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return self.lives[pid], b"program", "S", 0

    def process(self, pid: int):
        """What stands in for the questions about a process."""
        kernel = self

        class Asked:
            def __getattr__(self, name):
                def ask():
                    kernel.call()
                    if pid not in kernel.lives:
                        raise ProcessLookupError(pid)
                    values = {"arguments": [str(kernel.lives[pid])], "owner": (0, "root")}
                    return values.get(name, str(kernel.lives[pid]))

                return ask

        return Asked()

    @contextmanager
    def running(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(processes, "start_ticks", self.start_ticks)
            patch.setattr(processes, "SystemProcess", self.process)
            patch.setattr(processes, "sees_host_pids", lambda: True)
            patch.setattr(processes, "_is_hidden", lambda _pid: False)
            yield
        for pid in list(self.lives):
            self.end(pid)


PIDS = (101, 102, 103)
EVENTS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(1, 8), st.sampled_from(["ended", "reused"]), st.sampled_from(PIDS))),
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(polls=EVENTS, most=st.integers(0, 4))
def test_an_identity_is_never_believed_longer_than_it_can_be_known(polls, most):
    """Whatever ends or is used again before, between and within polls: a poll without any tells the truth."""
    kernel = Kernel()
    for pid in PIDS:
        kernel.happen("reused", pid)
    inspector = ProcessInspector(me=0, held=HeldProcesses(most, kernel.pidfd_open))
    with kernel.running():
        for events, refused, quiet in [*polls, ([], False, True)]:
            kernel.refusal = OSError(errno.EMFILE, "Too many open files") if refused else None
            kernel.due = events
            inspector.inspect_all(PIDS)
            if not quiet:
                continue
            kernel.due = []
            told = inspector.inspect_all(PIDS)
            assert {pid: facts.identity for pid, facts in told.items() if facts.identity} == {
                pid: str(process) for pid, process in kernel.lives.items()
            }
            assert all(told[pid].command == (str(process),) for pid, process in kernel.lives.items())
        inspector.close()


def test_a_number_that_is_used_again_within_a_tick_is_another_process():
    """The start alone, in hundredths of a second, would not tell: the file of the first one does."""
    kernel = Kernel()
    kernel.happen("reused", 101)
    inspector = ProcessInspector(me=0, held=HeldProcesses(1, kernel.pidfd_open))
    with kernel.running(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "start_ticks", lambda _pid: (7, b"program", "S", 0))
        assert [inspector.inspect_all([101])[101].command for _ in range(3)] == [("1",)] * 3
        kernel.happen("reused", 101)
        assert [inspector.inspect_all([101])[101].command for _ in range(3)] == [("2",)] * 3
        inspector.close()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM, errno.EACCES])
def test_where_the_kernel_or_a_sandbox_refuses_each_start_is_read_at_each_poll(read_starts, code):
    """As before Linux 5.3, and under a filter of system calls: it is asked for once, and not again."""
    asked = []

    def refuse(pid):
        asked.append(pid)
        raise OSError(code, os.strerror(code))

    inspector = ProcessInspector(held=HeldProcesses(opens=refuse))
    me, parent = os.getpid(), os.getppid()
    for _ in range(5):
        inspector.inspect_all([me, parent])
    assert len(asked) == 1
    assert read_starts.count(me) >= 5


def test_without_the_call_in_this_python_each_start_is_read_at_each_poll(read_starts):
    """As where it was built with the headers of an older system."""
    inspector = ProcessInspector(held=HeldProcesses(opens=None))
    for _ in range(5):
        inspector.inspect_all([os.getpid()])
    assert len(read_starts) >= 5


def test_where_no_file_is_left_it_is_tried_again_at_the_next_poll(read_starts):
    """The limit is this process's or the machine's, and others close files."""
    answers = [OSError(errno.EMFILE, "Too many open files"), OSError(errno.ENFILE, "Too many open files")]

    def opens(pid):
        if answers:
            raise answers.pop(0)
        return PIDFD_OPEN(pid)

    inspector = ProcessInspector(held=HeldProcesses(opens=opens))
    for _ in range(4):
        inspector.inspect_all([os.getpid()])
    assert not answers
    assert os.getpid() in inspector._held
    inspector.close()


def test_no_more_are_held_than_there_is_room_for(tmp_path, read_starts):
    """The start of each of the others is read at each poll."""
    inspector = ProcessInspector(held=HeldProcesses(2))
    with workers(tmp_path, ["a.py"], ["b.py"], ["c.py"]) as started:
        pids = [worker.pid for worker in started]
        for _ in range(2):
            inspector.inspect_all(pids)
        read_starts.clear()
        for _ in range(CACHED_READS):
            inspector.inspect_all(pids)
        assert sum(pid in inspector._held for pid in pids) == 2
        counts = [read_starts.count(pid) for pid in pids]
        assert max(counts) >= CACHED_READS
        assert sorted(counts)[1] <= 2 * CACHED_READS // PROGRAM_READS
    inspector.close()


@pytest.mark.parametrize(("limit", "most"), [(1024, 512), (256, 128), (2**20, MOST_HELD), (-1, MOST_HELD)])
def test_half_of_the_files_that_may_be_open_are_left_to_the_rest_of_the_program(monkeypatch, limit, most):
    """And of an unlimited number no more than a few hundred: select(2) takes none above 1023."""
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _which: (limit, limit))
    assert most_held() == most


def test_where_the_limit_of_files_is_lowered_below_those_held_nothing_is_believed(read_starts):
    """The kernel then refuses to tell of any of them: each start is read again."""
    script = (
        "import os, resource\n"
        "from gpuwatch_tray.sources.processes import ProcessInspector\n"
        "inspector = ProcessInspector()\n"
        "pids = [os.getpid(), os.getppid()]\n"
        "for _ in range(3): inspector.inspect_all(pids)\n"
        "assert os.getpid() in inspector._held\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (1, 64))\n"
        "inspector._held.release_ended()\n"
        "assert os.getpid() not in inspector._held\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "print(inspector.inspect_all(pids)[os.getpid()].identity)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.stdout.strip().isdecimal(), done.stderr


ELSEWHERE = """
import subprocess
from gpuwatch_tray.sources.held_processes import HeldProcesses
with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
    held = HeldProcesses()
    held.hold(child.pid)
    print(child.pid in held)
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare of util-linux")
@pytest.mark.parametrize(("proc", "holds"), [("--mount-proc", "True"), ("--fork", "False")])
def test_under_the_proc_of_another_namespace_none_is_held(proc, holds):
    """The same number is one process in /proc and another one for the kernel: each start is read there."""
    done = run_in_namespaces(ELSEWHERE, proc)
    assert done.stdout.strip() == holds, done.stderr


def test_a_file_that_somebody_else_has_closed_is_not_believed(read_starts):
    """Nor closed once more: its number may be another file's."""
    inspector = ProcessInspector()
    for _ in range(3):
        inspector.inspect_all([os.getpid()])
    os.close(inspector._held._files[os.getpid()])
    read_starts.clear()
    assert inspector.inspect_all([os.getpid()])[os.getpid()].identity
    assert read_starts
    inspector.close()


def test_a_file_number_that_is_used_again_holds_its_new_process_alone():
    """The former one, whose file somebody else has closed, is held no more."""
    held = HeldProcesses()
    held.hold(os.getpid())
    os.close(held._files[os.getpid()])
    held.hold(os.getppid())
    assert (os.getpid() in held, os.getppid() in held) == (False, True)
    held.close()


def test_what_is_held_is_let_go_of_with_the_process_the_source_and_the_program():
    """No file stays open, also where nobody closes; and no child gets one."""
    before = pidfds()
    inspector, forgotten = ProcessInspector(), ProcessInspector()
    me, parent = os.getpid(), os.getppid()
    for one in (inspector, forgotten):
        for _ in range(2):
            one.inspect_all([me, parent])
    assert pidfds() == before + 4
    assert not any(os.get_inheritable(file) for file in inspector._held._files.values())
    inspector.inspect_all([me])
    assert pidfds() == before + 3
    inspector.close()
    assert pidfds() == before + 2
    del forgotten, one
    gc.collect()
    assert pidfds() == before


def test_a_program_that_reads_once_holds_none():
    """As `ps` does: to open a file for each would cost more than it saves."""
    before = pidfds()
    inspector = ProcessInspector()
    inspector.inspect_all([os.getpid(), os.getppid()])
    assert pidfds() == before


def test_a_program_that_becomes_another_is_noticed_within_twelve_polls():
    """By exec, in a process that is held: a minute at the default interval."""
    inspector = ProcessInspector()
    script = "import os, sys; input(); os.execv(sys.executable, [sys.executable, '-c', 'input()', 'two'])"
    with subprocess.Popen([sys.executable, "-c", script, "one"], stdin=subprocess.PIPE, text=True) as process:
        while not psutil.Process(process.pid).cmdline():
            os.sched_yield()
        for _ in range(3):
            before = inspector.inspect_all([process.pid])[process.pid]
        process.stdin.write("\n")
        process.stdin.flush()
        while psutil.Process(process.pid).cmdline()[-1:] != ["two"]:
            os.sched_yield()
        told = [inspector.inspect_all([process.pid])[process.pid] for _ in range(PROGRAM_READS)]
        process.communicate("\n")
    assert (before.command[-1], told[-1].command[-1]) == ("one", "two")
    assert before.identity == told[-1].identity
    inspector.close()
