"""What is told of a process, on real ones: owner, start, command, each unknown by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil  # looks from outside
import pytest

from gpuwatch_tray.common.proclist import elapsed_text
from gpuwatch_tray.model import Missing, ProcessKind
from gpuwatch_tray.sources import processes
from gpuwatch_tray.sources.held_processes import HeldProcesses
from gpuwatch_tray.sources.processes import (
    DENIED,
    FOREIGN,
    GONE,
    HIDDEN,
    ProcessFacts,
    ProcessInspector,
    subordinate_uids,
)
from gpuwatch_tray.sources.system_process import SystemProcess
from tests.support.fakes import Clock
from tests.support.timing import PATIENCE
from tests.support.workers import workers

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
NOBODY = 4_194_304  # Linux gives PIDs below its pid_max, which is this at most (proc(5))
ME = os.getpid()


@pytest.fixture
def child(tmp_path):
    """Start a process that waits in a folder of its own until its input ends."""
    with subprocess.Popen(["cat", "-u", "-", "--"], stdin=subprocess.PIPE, cwd=tmp_path) as process:
        yield begun(process)
        process.stdin.close()


def facts(pid, inspector=None):
    return (inspector or ProcessInspector()).inspect_all([pid])[pid]


def begun(process):
    """Wait until the system tells its arguments: exec returns to the parent a moment before that."""
    while not psutil.Process(process.pid).cmdline():
        os.sched_yield()
    return process


def refusing(error):
    def refuse(self):
        raise error

    return refuse


def test_a_process_of_ones_own_is_told_completely(child, tmp_path):
    """Owner, folder, arguments one by one, and the program's name without folders."""
    told = facts(child.pid)
    assert told.mine is True
    assert told.user == psutil.Process().username()
    assert told.cwd == str(tmp_path)
    assert told.command == ("cat", "-u", "-", "--")
    assert told.name == "cat"
    assert told.started == pytest.approx(time.time(), abs=10)


def test_a_process_on_a_gpu_is_its_facts_with_place_and_memory():
    """Nothing is lost on the way into the model."""
    told = facts(ME)
    process = told.on_gpu(3, frozenset({ProcessKind.GRAPHICS}), 77)
    assert (process.gpu, process.kinds, process.memory) == (3, {ProcessKind.GRAPHICS}, 77)
    for name in ("pid", "user", "mine", "started", "elapsed", "identity", "cwd", "command", "name"):
        assert getattr(process, name) == getattr(told, name)


@linux
@pytest.mark.parametrize("pid", [1, ME], ids=["init", "me"])
def test_elapsed_is_what_ps_prints(pid):
    """`ps -o etime=`, to the second, for the first process of the machine and for a young one."""
    before = facts(pid).elapsed
    printed = subprocess.run(
        ["ps", "-o", "etime=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    after = facts(pid).elapsed
    # ps counts in hundredths and may lose one to rounding
    assert printed.stdout.strip() in {
        elapsed_text(max(0, before - 0.02)),
        elapsed_text(before),
        elapsed_text(after),
    }


def test_a_clock_that_is_set_moves_neither_elapsed_nor_identity():
    """The wall clock goes back an hour: only the wall time of the start follows."""
    clock, steady = Clock(1_000_000), Clock(processes.steady_clock())
    inspector = ProcessInspector(clock=clock, steady=steady)
    before = facts(ME, inspector)
    clock.advance(-3600)
    steady.advance(5)
    after = facts(ME, inspector)
    assert after.elapsed - before.elapsed == pytest.approx(5)
    assert after.identity == before.identity
    assert after.started == pytest.approx(before.started - 3605)


def test_elapsed_is_never_below_zero():
    """A start that lies ahead of the clock counts as now."""
    assert facts(ME, ProcessInspector(steady=lambda: 0.0)).elapsed == 0


def test_where_a_start_is_wall_time_elapsed_is_steady_from_the_first_poll(monkeypatch):
    """As on Windows and macOS: a clock set between two polls does not make a process older."""
    monkeypatch.setattr(processes.sys, "platform", "darwin")
    created = psutil.Process().create_time()
    clock, steady = Clock(created + 100), Clock(7)
    inspector = ProcessInspector(clock=clock, steady=steady)
    first = facts(ME, inspector)
    assert first.elapsed == pytest.approx(100)
    clock.advance(86_400)
    steady.advance(5)
    second = facts(ME, inspector)
    assert second.elapsed == pytest.approx(105)
    assert second.identity == first.identity


@linux
def test_the_identity_is_the_kernels_start_tick(child):
    """Field 22 of /proc/PID/stat: the same in every process that looks, and no wall time."""
    with open(f"/proc/{child.pid}/stat") as stat:  # noqa: PTH123
        assert facts(child.pid).identity == stat.read().split()[21]


@linux
def test_a_program_named_to_mislead_does_not_move_the_start(tmp_path):
    """Blanks and brackets in the program's name stand before the fields that are counted."""
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/cat")
    with subprocess.Popen([program], stdin=subprocess.PIPE) as process:
        told = facts(begun(process).pid)
        process.stdin.close()
    assert told.name == "a) R 1 (b"
    assert 0 <= told.elapsed < 60


@pytest.mark.usefixtures("namespace")
def test_a_number_that_is_nobodys_tells_nothing():
    """It is not mine: it ended, or it is hidden, and one's own are not."""
    told = facts(NOBODY)
    assert told.mine is False
    assert told.identity == ""
    for name in ("user", "started", "elapsed", "cwd", "command", "name"):
        assert getattr(told, name) == GONE


@linux
@pytest.mark.parametrize("name", ["pid:[4026532000]", None])
def test_in_a_container_a_number_that_is_nobodys_may_be_mine(namespace, name):
    """The driver's PIDs are the host's there: whose the process is cannot be told."""
    namespace(name)
    assert facts(NOBODY).mine is None


@linux
def test_in_a_container_one_number_that_is_nobodys_takes_the_trust_from_all(namespace):
    """The driver names the machine's processes there: a number that is somebody's here is another one's."""
    namespace("pid:[4026532000]")
    inspector = ProcessInspector()
    assert facts(ME, inspector).mine is True
    for _ in range(2):
        assert set(inspector.inspect_all([ME, NOBODY]).values()) == {
            ProcessFacts.unknown(ME, FOREIGN),
            ProcessFacts.unknown(NOBODY, FOREIGN),
        }
    assert facts(ME, inspector) == ProcessFacts.unknown(ME, FOREIGN)
    assert inspector.inspect(ME).mine is True  # who asks for this system's own process gets it


@linux
def test_in_a_container_a_process_may_end_between_list_and_poll(namespace):
    """Once missing is not yet another's number: at the next look the others are believed again."""
    namespace("pid:[4026532000]")
    inspector = ProcessInspector()
    inspector.inspect_all([ME, NOBODY])
    assert facts(ME, inspector).mine is True
    inspector.inspect_all([ME, NOBODY - 1])
    assert facts(ME, inspector).mine is True


@pytest.mark.usefixtures("namespace")
def test_on_the_machine_itself_a_number_that_is_nobodys_says_nothing_of_the_others():
    """It ended, or it is hidden."""
    inspector = ProcessInspector()
    for _ in range(3):
        assert inspector.inspect_all([ME, NOBODY])[ME].mine is True


def test_a_process_that_may_not_be_asked_about_is_not_mine(monkeypatch):
    """One's own can always be asked about."""

    def refuse(pid):
        raise PermissionError(pid)

    monkeypatch.setattr(processes, "_process_start", refuse)
    assert facts(ME) == ProcessFacts.unknown(ME, DENIED, mine=False)


@linux
@pytest.mark.usefixtures("namespace")
def test_a_process_that_the_system_hides_may_be_anybodys_and_is_not_gone(monkeypatch):
    """With hidepid /proc shows no process of others, one in a rootless container of mine neither."""

    def refuse(pid, number):
        assert (pid, number) == (NOBODY, 0)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    told = facts(NOBODY)
    assert told == ProcessFacts.unknown(NOBODY, HIDDEN)
    assert not told.ended


@pytest.mark.parametrize(
    ("line", "mine"),
    [
        ("{name}:{start}:65536", True),
        ("{uid}:{start}:65536", True),
        ("{name}:{start}:0", False),
        ("{name}:{after}:65536", False),
        ("somebody-else:{start}:65536", False),
        ("{name}:x:65536", False),
        ("{name}", False),
    ],
)
def test_a_process_of_a_rootless_container_of_mine_is_mine(monkeypatch, tmp_path, line, mine):
    """Its user id is one of those that the system gave to me, in /etc/subuid."""
    own = os.getuid()
    values = {"name": psutil.Process().username(), "uid": own, "start": 100_000, "after": 101_000}
    table = tmp_path / "subuid"
    table.write_text(f"root:1:2\n# a comment\n{line.format(**values)}\n")
    found = subordinate_uids(table)
    monkeypatch.setattr(processes, "subordinate_uids", lambda: found)
    monkeypatch.setattr(processes, "own_user", lambda: (own, values["name"]))
    monkeypatch.setattr(SystemProcess, "owner", lambda _process: (100_999, "100999"))
    assert facts(ME).mine is mine


def test_without_a_table_of_subordinate_ids_there_are_none(tmp_path):
    """Many systems have none, and some keep it elsewhere."""
    assert subordinate_uids(tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        ([""] * 100, processes.EMPTY),
        (["title", "", "", ""], ("title",)),
        (["a", "", "b"], ("a", "", "b")),
    ],
)
def test_an_argv_that_was_wiped_is_unknown(monkeypatch, argv, command):
    """By setproctitle: the empty words that it leaves are no arguments."""
    monkeypatch.setattr(SystemProcess, "arguments", lambda _process: argv)
    assert facts(ME).command == command


def test_another_users_process_is_not_mine():
    """Real user ids are compared."""
    assert facts(ME, ProcessInspector(me=os.getuid() + 1)).mine is False


@pytest.mark.parametrize(
    ("method", "field"),
    [("folder", "cwd"), ("arguments", "command"), ("name", "name")],
)
def test_what_is_denied_is_unknown_by_itself(monkeypatch, method, field):
    """One refusal takes nothing else with it."""
    monkeypatch.setattr(SystemProcess, method, refusing(PermissionError))
    told = facts(ME)
    missing = [
        name for name in ("user", "cwd", "command", "name") if isinstance(getattr(told, name), Missing)
    ]
    assert missing == [field]
    assert getattr(told, field).detail == "permission denied"
    assert told.elapsed >= 0
    assert told.mine is True


def test_an_owner_that_is_denied_is_unknown(monkeypatch):
    """It is neither mine nor somebody else's."""
    monkeypatch.setattr(SystemProcess, "owner", refusing(PermissionError))
    told = facts(ME)
    assert told.mine is None
    assert told.user == DENIED
    assert told.command[0]


@linux
def test_a_zombie_has_an_owner_and_a_start_but_no_command():
    """It ended, and its parent has not asked yet."""
    with subprocess.Popen(["true"]) as process:
        deadline = time.monotonic() + PATIENCE
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            os.sched_yield()
        told = facts(process.pid)
    assert told.mine is True
    assert told.elapsed >= 0
    assert isinstance(told.command, Missing)


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("method", ["owner", "arguments", "name", "folder"])
def test_a_process_that_ends_between_two_questions_is_gone(monkeypatch, method):
    """No mixture of what was and what is no more."""
    monkeypatch.setattr(SystemProcess, method, refusing(ProcessLookupError))
    assert facts(ME) == ProcessFacts.unknown(ME, GONE, mine=False)


@linux
@pytest.mark.usefixtures("namespace")
def test_a_number_reused_between_two_questions_is_gone(monkeypatch):
    """The facts of two processes are never put together."""
    start_ticks = iter([(10, b"python", "S", 0), (11, b"python", "S", 0)])
    monkeypatch.setattr(processes, "start_ticks", lambda _pid: next(start_ticks))
    assert facts(ME) == ProcessFacts.unknown(ME, GONE, mine=False)


@linux
def test_a_number_reused_between_two_reads_is_another_process(monkeypatch):
    """What was remembered of the first is not told of the second."""
    inspector = ProcessInspector(held=HeldProcesses(0))
    monkeypatch.setattr(processes, "start_ticks", lambda _pid: (10, b"python", "S", 0))
    monkeypatch.setattr(SystemProcess, "arguments", lambda _self: ["old"])
    assert (facts(ME, inspector).command, facts(ME, inspector).identity) == (("old",), "10")
    monkeypatch.setattr(processes, "start_ticks", lambda _pid: (11, b"python", "S", 0))
    monkeypatch.setattr(SystemProcess, "arguments", lambda _self: ["new"])
    assert (facts(ME, inspector).command, facts(ME, inspector).identity) == (("new",), "11")


def test_lasting_facts_are_asked_once_and_forgotten_with_the_process(monkeypatch, tmp_path):
    """They are remembered only for those that the last read asked about: the memory stays bounded."""
    asked = []
    monkeypatch.setattr(SystemProcess, "arguments", lambda self: asked.append(self) or ["x"])
    inspector = ProcessInspector()
    inspector.inspect_all([ME])
    inspector._known[ME].reads = 1
    inspector.inspect_all([ME])
    assert len(asked) == 1
    with workers(tmp_path, ["other.py"]) as (other,):
        inspector.inspect_all([other.pid])
        assert list(inspector._known) == [other.pid]
    inspector.inspect_all([ME])
    assert len(asked) == 3


@linux
def test_a_process_that_is_known_costs_one_small_file_a_poll(monkeypatch):
    """Where it cannot be held: the file tells that it is the same; nothing else is read for 60 polls."""
    inspector = ProcessInspector(held=HeldProcesses(0))
    first = facts(ME, inspector)
    inspector._known[ME].reads = 1
    read, asked = [], []
    real = processes.start_ticks
    monkeypatch.setattr(processes, "start_ticks", lambda pid: read.append(pid) or real(pid))
    monkeypatch.setattr(processes, "SystemProcess", asked.append)
    for _ in range(processes.CACHED_READS - 1):
        again = facts(ME, inspector)
    assert (read, asked) == ([ME] * (processes.CACHED_READS - 1), [])
    assert (again.command, again.cwd, again.identity) == (first.command, first.cwd, first.identity)


def test_a_folder_that_changes_is_noticed_within_sixty_polls(monkeypatch, tmp_path):
    """Five minutes at the default interval."""
    inspector = ProcessInspector()
    facts(ME, inspector)
    monkeypatch.chdir(tmp_path)
    assert [facts(ME, inspector).cwd for _ in range(processes.CACHED_READS)][-1] == str(tmp_path)


@linux
def test_a_program_that_becomes_another_is_noticed_at_once(monkeypatch):
    """By exec, where it is not held: number and start stay the same, the command does not."""
    inspector = ProcessInspector(held=HeldProcesses(0))
    script = "import os, sys; input(); os.execv(sys.executable, [sys.executable, '-c', 'input()', 'two'])"
    with subprocess.Popen([sys.executable, "-c", script, "one"], stdin=subprocess.PIPE, text=True) as process:
        before = facts(begun(process).pid, inspector)
        process.stdin.write("\n")
        process.stdin.flush()
        while psutil.Process(process.pid).cmdline()[-1:] != ["two"]:
            os.sched_yield()
        after = facts(process.pid, inspector)
        process.communicate("\n")
    assert (before.command[-1], after.command[-1]) == ("one", "two")
    assert (before.name, before.identity) == (after.name, after.identity)


def test_arguments_that_change_in_place_are_noticed_within_sixty_polls(monkeypatch):
    """As by setproctitle, or by exec where the system does not tell: five minutes at the default interval."""
    inspector = ProcessInspector()
    monkeypatch.setattr(SystemProcess, "arguments", lambda _self: ["sh", "run.sh"])
    facts(ME, inspector)
    monkeypatch.setattr(SystemProcess, "arguments", lambda _self: ["python", "train.py"])
    told = [facts(ME, inspector).command for _ in range(processes.CACHED_READS)]
    assert told[-1] == ("python", "train.py")


@linux
@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("error", [ProcessLookupError(3, "No such process"), ValueError(), IndexError()])
def test_a_process_that_ends_while_its_start_is_read_is_gone(monkeypatch, error):
    """The file is there and then empty, or the read itself fails."""

    def end(_pid):
        raise error

    monkeypatch.setattr(processes, "start_ticks", end)
    assert facts(ME) == ProcessFacts.unknown(ME, GONE, mine=False)


def test_a_fact_that_could_not_be_had_is_asked_again(monkeypatch):
    """A failure is not remembered as the answer."""
    inspector = ProcessInspector()
    with monkeypatch.context() as patch:
        patch.setattr(SystemProcess, "arguments", refusing(PermissionError))
        assert isinstance(facts(ME, inspector).command, Missing)
    assert not isinstance(facts(ME, inspector).command, Missing)


@linux
def test_bytes_that_are_no_text_do_not_stop_anybody_from_printing():
    """Arguments and folders may be any bytes."""
    with subprocess.Popen(
        [b"cat", b"-", b"--", b"\xff"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        told = facts(begun(process).pid)
        process.stdin.close()
    assert told.command == ("cat", "-", "--", "\ufffd")
    assert told.command[3].encode()


@linux
def test_the_boot_has_a_name():
    """The kernel's: it is the same until the machine starts anew."""
    with open("/proc/sys/kernel/random/boot_id") as file:  # noqa: PTH123
        assert ProcessInspector().boot_id == file.read().strip()
