"""The command source: real programs, well-behaved and not."""

from __future__ import annotations

import os
import shlex
import sys
import threading
import time
from pathlib import Path

import pytest

from gpuwatch_tray.model import UNKNOWN, ProcessKind
from gpuwatch_tray.sources import subprocess_runner
from gpuwatch_tray.sources.command import CommandSource, command_line
from tests.support.timing import slowness

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")

LIST = """\
GPU=1  MEM=2828MiB  PID=2943615  ETIME=03:34
  CWD: /home/user/project
  CMD: python train.py --token Xq7canary

GPU=0  MEM=10MiB  PID=77  ETIME=1-00:00:00
  CWD: NA
  CMD: NA

"""
NOW = 1_700_000_000.0


def script(path: Path, text: str, *, mode: int = 0o755) -> Path:
    """Write an executable shell script."""
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(mode)
    return path


def printing(path: Path, listed: str) -> Path:
    """Write a script that prints a list."""
    return script(path, f"cat <<'END'\n{listed}END\n")


def source(mygpu: object, first_seen=None, *, now=NOW, **options) -> CommandSource:
    """Return a source for `mygpu` at a standing clock."""
    known = {} if first_seen is None else first_seen
    return CommandSource(str(mygpu), first_seen=known, user="u", clock=lambda: now, **options)


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_script_whose_path_has_blanks_is_run(tmp_path):
    """A path is taken as it stands, and its list becomes one's own processes and their GPUs."""
    (tmp_path / "my tools").mkdir()
    snapshot = source(printing(tmp_path / "my tools" / "my gpu.sh", LIST)).read()
    assert snapshot.problem is None
    assert snapshot.source == "command: my gpu.sh"
    assert snapshot.at == NOW
    assert [(gpu.index, gpu.uuid, gpu.memory_used) for gpu in snapshot.gpus] == [
        (0, "", UNKNOWN),
        (1, "", UNKNOWN),
    ]
    first, second = snapshot.processes
    assert (first.gpu, first.pid, first.user, first.mine, first.kinds) == (
        1,
        2943615,
        "u",
        True,
        {ProcessKind.COMPUTE},
    )
    assert (first.elapsed, first.started, first.identity) == (214.0, NOW - 214, f"{NOW - 214:.0f}")
    assert first.command == ("python", "train.py", "--token", "Xq7canary")
    assert (second.started, second.command) == (NOW - 86400, UNKNOWN)


@pytest.mark.parametrize(
    ("mygpu", "argv"),
    [
        ("ssh -p 22 host 'my gpu.sh' --x", ["ssh", "-p", "22", "host", "my gpu.sh", "--x"]),
        ("  nvlist  ", ["nvlist"]),
        ("~/no-such-file a", ["HOME/no-such-file", "a"]),
        ("", []),
        ("  ", []),
    ],
)
def test_anything_else_is_split_as_a_shell_would(mygpu, argv, monkeypatch):
    """What is no file is a command line, quotes respected and ~ expanded."""
    monkeypatch.setenv("HOME", "HOME")
    assert command_line(mygpu) == argv


def test_a_path_from_home_and_a_relative_path_are_files(tmp_path, monkeypatch):
    """`~/bin/mygpu.sh` and `mygpu.sh` in the current folder are the files, not programs of PATH."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path = printing(tmp_path / "my gpu.sh", "")
    assert command_line("~/my gpu.sh") == [str(path)]
    assert command_line("my gpu.sh") == [str(path)]


def test_a_command_line_is_run_without_a_shell(tmp_path):
    """Arguments arrive as they were quoted; `;` and `$` mean nothing."""
    listed = shlex.quote(LIST.replace("train.py", "$HOME;x"))
    (first, _) = source(f"printf %s {listed}").read().processes
    assert first.command[1] == "$HOME;x"
    assert (
        source(f"sh -c 'cat {shlex.quote(str(printing(tmp_path / 'x', LIST)))} >/dev/null'").read().problem
        is None
    )


def test_a_script_without_a_first_line_is_run_as_the_shell_would(tmp_path):
    """The Bash tool could run a script that has no `#!`, so this can."""
    path = tmp_path / "mygpu.sh"
    path.write_text("echo GPU=0  MEM=1MiB  PID=5  ETIME=00:01\n")
    path.chmod(0o755)
    assert [p.pid for p in source(path).read().processes] == [5]


def test_no_output_and_success_means_no_processes(tmp_path):
    """An empty list is an answer: no problem, no processes."""
    snapshot = source(script(tmp_path / "x", "exit 0")).read()
    assert (snapshot.problem, snapshot.processes, snapshot.gpus) == (None, (), ())


def problem(mygpu: object, **options) -> str:
    """Return the problem of a reading that must have one, and nothing else."""
    snapshot = source(mygpu, **options).read()
    assert snapshot.problem is not None
    assert (snapshot.gpus, snapshot.processes) == ((), ())
    return str(snapshot.problem)


def test_a_failing_command_is_a_problem_even_with_a_list(tmp_path):
    """Exit code and last error line are named, without secrets; the list it printed is not believed."""
    body = f"cat <<'END'\n{LIST}END\necho first >&2; echo 'no driver, token=Xq7canary' >&2; echo >&2; exit 9"
    said = problem(script(tmp_path / "mygpu.sh", body))
    assert "mygpu.sh) ended with exit code 9: no driver, token=***" in said
    assert said.startswith(f"MYGPU ({tmp_path}/mygpu.sh) ")
    assert said.endswith("(run it by hand)")
    assert "canary" not in said


def test_a_command_that_a_signal_ended_is_a_problem(tmp_path):
    """A list may be cut short by a signal, which is named."""
    assert "was ended by signal 9" in problem(script(tmp_path / "x", "kill -9 $$"))


def test_long_and_hostile_error_lines_are_tamed(tmp_path):
    """Of a hostile error line a short part is shown, without escape sequences."""
    said = problem(script(tmp_path / "x", "printf '\\033[2J%0900d\\377' 7 >&2; exit 1"))
    assert said.isprintable()
    assert len(said) < 400


@pytest.mark.parametrize(
    ("mygpu", "said"),
    [
        ("/no/such/mygpu.sh", "there is no program /no/such/mygpu.sh"),
        ("no-such-program-of-ours --x", "there is no program no-such-program-of-ours"),
        ("sh -c 'unclosed", "MYGPU: a quote is not closed"),
        ("  ", "MYGPU is empty"),
        ("/", "/ is not executable"),
    ],
)
def test_what_cannot_be_started_is_a_problem_with_its_mend(mygpu, said):
    """Missing programs, unclosed quotes and nothing at all are said in words, with what to do."""
    text = problem(mygpu)
    assert said in text
    assert text.endswith(")")


def test_a_script_that_is_not_executable_is_a_problem(tmp_path):
    """The mend is the command to type."""
    path = script(tmp_path / "my gpu.sh", "", mode=0o644)
    assert problem(path).endswith(f"is not executable (chmod +x '{path}')")


def test_a_line_that_cannot_be_understood_is_a_problem(tmp_path):
    """A list with a broken first line is not taken for a shorter one; the line is shown without secrets."""
    said = problem(printing(tmp_path / "x", LIST + "GPU=?? MEM=1MiB PID=3 --token Xq7canary\n"))
    assert "not a line of a process list: line 9: GPU=?? MEM=1MiB PID=3 --token ***" in said


def test_a_message_in_place_of_a_list_is_a_problem(tmp_path):
    """A program that fails politely, with exit code 0, has not said that there are no processes."""
    assert "line 1: driver not loaded" in problem(script(tmp_path / "x", "echo driver not loaded"))


def test_bytes_that_are_no_text_are_read(tmp_path):
    """A command line that is no UTF-8 does not hide its process."""
    body = "printf 'GPU=0  MEM=1MiB  PID=5  ETIME=00:01\\n  CMD: \\377x\\033[2J y\\n'"
    (process,) = source(script(tmp_path / "x", body)).read().processes
    assert process.pid == 5
    assert process.command == ("\ufffdx\x1b[2J", "y")


@pytest.mark.parametrize("line", ["GPU=0  MEM=1\\000MiB  PID=5  ETIME=00:01", "  CMD: a\\000b", "\\000"])
def test_a_nul_byte_is_a_bad_line(tmp_path, line):
    """What holds one is no text, and what is read of it would not be what was meant."""
    body = f"printf 'GPU=0  MEM=1MiB  PID=4  ETIME=00:01\\n{line}\\n'"
    said = problem(script(tmp_path / "x", body))
    assert "not a line of a process list: line 2: " in said
    assert "\\x00" in said


@pytest.mark.parametrize(
    ("mygpu", "said"),
    [
        ("sh -c 'echo no >&2; exit 3'", "MYGPU (sh -c 'echo no >&2; exit 3') ended with exit code 3: no"),
        ("sleep 60", "MYGPU (sleep 60) gave no answer within 0.2 s"),
        ("false --token Xq7canary 'a b'", "MYGPU (false --token *** 'a b') ended with exit code 1"),
    ],
)
def test_problems_name_the_command_as_one_would_type_it(mygpu, said):
    """Quoted as a shell needs it, without secrets."""
    assert problem(mygpu, timeout=0.2 if "sleep" in mygpu else 20) == f"{said} (run it by hand)"


def test_a_backslash_at_the_end_is_named():
    """It is no quote that is missing there."""
    assert problem("sh x\\").startswith("MYGPU: a backslash at the end is not closed")


def test_a_command_that_does_not_end_is_killed_with_its_children(tmp_path):
    """After the time-out the whole group is gone, though it ignores SIGTERM, and the list is not believed."""
    pids = tmp_path / "pids"
    path = script(
        tmp_path / "x",
        f"trap '' TERM\necho $$ >>{pids}\nsleep 60 & echo $! >>{pids}\necho GPU=1\nwait\nsleep 60",
    )
    began = time.monotonic()
    said = problem(path, timeout=0.4)
    assert time.monotonic() - began < 3 * slowness()
    assert "gave no answer within 0.4 s" in said
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 2
    assert wait_for(lambda: not any(alive(pid) for pid in started))


def wait_for(done, seconds: float = 30.0) -> bool:
    """Whether `done` becomes true in time (the kernel takes its own to end a killed process)."""
    until = time.monotonic() + seconds
    while not done() and time.monotonic() < until:
        threading.Event().wait(0.01)
    return done()


def test_a_command_that_closes_its_output_and_goes_on_is_waited_for(tmp_path):
    """Only the exit code says whether the list is whole: closing the output does not."""
    path = script(tmp_path / "x", f"cat <<'END'\n{LIST}END\nexec >&- 2>&-\nsleep 0.3\nexit 4")
    assert "exit code 4" in problem(path)


def test_endless_output_is_cut_off(tmp_path):
    """A program that prints without end is stopped at the limit, long before the time-out."""
    began = time.monotonic()
    assert "printed more than 100000 bytes" in problem(script(tmp_path / "x", "exec yes"), limit=100_000)
    assert "printed more than 100000 bytes" in problem(script(tmp_path / "y", "exec yes >&2"), limit=100_000)
    assert time.monotonic() - began < 5 * slowness()


def test_a_grandchild_that_keeps_the_pipe_open_does_not_hold_the_list(tmp_path):
    """As ssh's shared connections do: the list is there when the command has ended."""
    path = script(tmp_path / "x", f"sleep 30 & echo $! > {tmp_path}/pid\ncat <<'END'\n{LIST}END\n")
    began = time.monotonic()
    snapshot = source(path).read()
    os.kill(int((tmp_path / "pid").read_text()), 9)
    assert time.monotonic() - began < 5 * slowness()
    assert len(snapshot.processes) == 2


def test_a_long_list_arrives_whole(tmp_path):
    """A list larger than a pipe holds is read to its end."""
    body = (
        'i=0\nwhile [ $i -lt 3000 ]; do i=$((i+1)); echo "GPU=0  MEM=1MiB  PID=$i  ETIME=00:01"; done; exit 0'
    )
    assert len(source(script(tmp_path / "x", body)).read().processes) == 3000


@pytest.fixture
def talkative_input():
    """Give this process a standard input that has something to say."""
    ours = os.dup(0)
    reading, writing = os.pipe()
    os.write(writing, b"yes\n")
    os.dup2(reading, 0)
    yield
    os.dup2(ours, 0)
    for descriptor in (ours, reading, writing):
        os.close(descriptor)


@pytest.mark.usefixtures("talkative_input")
def test_the_command_reads_nothing_and_has_no_terminal(tmp_path):
    """A command that asks (ssh for a password) gets the end of its input at once, and no terminal."""
    body = "read answer && exit 3\n(: </dev/tty) 2>/dev/null && exit 4\nexit 0"
    assert source(script(tmp_path / "x", body)).read().problem is None


def test_closing_ends_a_run_in_progress_and_all_later_ones(tmp_path):
    """Quit does not wait for the program: its run ends, and no new one starts."""
    started = tmp_path / "started"
    subject = source(script(tmp_path / "x", f"echo >> {started}\nsleep 60"))
    readings = []
    reader = threading.Thread(target=lambda: readings.append(subject.read()))
    reader.start()
    assert wait_for(started.exists)
    subject.close()
    reader.join(60)
    assert not reader.is_alive()
    readings.append(subject.read())
    assert [reading.problem.text for reading in readings] == [f"MYGPU ({tmp_path}/x) was stopped"] * 2
    assert started.read_text() == "\n"


def test_no_second_program_is_started_while_the_first_cannot_be_killed(tmp_path, monkeypatch):
    """A driver that hangs in the kernel keeps a program for ever: one, not one per poll."""
    started = tmp_path / "started"
    subject = source(script(tmp_path / "x", f"echo >> {started}\nsleep 60"), timeout=0.2)
    kill = subprocess_runner._kill
    monkeypatch.setattr(subprocess_runner, "_kill", lambda _child: None)
    monkeypatch.setattr(subprocess_runner, "_REAP", 0.05)
    assert "gave no answer within 0.2 s, and cannot be killed" in str(subject.read().problem)
    assert "the last run still hangs" in str(subject.read().problem)
    assert started.read_text() == "\n"
    monkeypatch.setattr(subprocess_runner, "_kill", kill)
    subject.close()
    assert wait_for(lambda: subject._runner._child.poll() is not None)


def test_the_reader_for_windows_reads_the_same(tmp_path, monkeypatch):
    """The thread reader gives the list, the exit code, the time-out and the limit as the other does."""
    monkeypatch.setattr(subprocess_runner, "_read", subprocess_runner._read_with_threads)
    assert len(source(printing(tmp_path / "a", LIST)).read().processes) == 2
    assert "exit code 3: why" in problem(script(tmp_path / "b", "echo why >&2; exit 3"))
    assert "gave no answer within 0.3 s" in problem(
        script(tmp_path / "c", "echo GPU=1; sleep 60"), timeout=0.3
    )
    assert "printed more than" in problem(script(tmp_path / "d", "exec yes"), limit=100_000)


def test_the_name_shows_the_command_without_secrets():
    """The source's name tells which machine it reads and no secret of its command line."""
    assert source("ssh -i k host mygpu.sh").name == "command: ssh -i k host mygpu.sh"
    assert source("/usr/bin/curl --token Xq7canary http://h").name == "command: curl --token *** http://h"
    assert len(source("x " * 500).name) < 80
    assert source("sh 'unclosed").name == "command: sh 'unclosed"


def test_a_gpu_that_the_program_could_not_ask_cannot_be_read(tmp_path):
    """Beside the processes of the others: neither a list without it nor a list that cannot be read."""
    line = "Unable to determine the device handle for GPU 0000:0A:00.0: Unknown Error\n"
    reading = source(printing(tmp_path / "x", line + LIST)).read()
    assert reading.problem is None
    assert [one.pid for one in reading.processes] == [2943615, 77]
    assert [(gpu.uuid, gpu.problem) for gpu in reading.gpus] == [
        ("", None),
        ("", None),
        ("0000:0A:00.0", "Unknown Error"),
    ]
