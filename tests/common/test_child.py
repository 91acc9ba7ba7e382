"""A command that is watched runs as it would unwatched: output, terminal, signals and exit codes."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.timing import slowness

# The command line's part of `when run`, without the notice: what it ends with and the lines that it kept.
RUNNER = """
import sys
from pathlib import Path
import tempfile
from gpuwatch_tray.common.child import StartError, RunningCommand
from gpuwatch_tray.common.run_log import RunLog
from gpuwatch_tray.runs.log_file import last_lines, read_log
folder = Path(tempfile.mkdtemp(dir=Path(sys.argv[1]).parent))
try:
    log = RunLog(folder)
    command = RunningCommand(sys.argv[2:], None, log)
except StartError as error:
    print(error, file=sys.stderr)
    sys.exit(error.code)
code = command.wait()
with open(sys.argv[1], "w") as file:
    file.write("\\n".join(last_lines(read_log(folder).end(2**20))))
sys.exit(code)
"""


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "kept"


def argv(kept, *words):
    return [sys.executable, "-c", RUNNER, str(kept), *words]


def run(kept, *words, **more):
    return subprocess.run(argv(kept, *words), check=False, **({"capture_output": True, "timeout": 30} | more))


def sh(script):
    return ["sh", "-c", script]


def test_output_passes_through_byte_by_byte(kept):
    """Both streams reach their own places unchanged, whatever the bytes, and input reaches the command."""
    done = run(kept, *sh(r"cat; printf '\000\377\r\n\033[1mx' ; echo error >&2"), input=b"in\xfe\n")
    assert (done.stdout, done.stderr) == (b"in\xfe\n\x00\xff\r\n\x1b[1mx", b"error\n")


def test_two_streams_into_one_file_keep_their_order(kept, tmp_path):
    """`> log 2>&1` is written in the order in which the command wrote."""
    with (tmp_path / "log").open("wb") as log:
        run(
            kept,
            *sh("for n in 1 2 3 4 5; do echo o$n; echo e$n >&2; done"),
            capture_output=False,
            stdout=log,
            stderr=log,
        )
    lines = [f"{stream}{n}" for n in range(1, 6) for stream in "oe"]
    assert (tmp_path / "log").read_text().split() == lines
    assert kept.read_text().split() == lines


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["true"], 0),
        (sh("exit 3"), 3),
        (sh("exit 255"), 255),
        (sh("kill -9 $$"), 137),
        (sh("kill -TERM $$"), 143),
        (["/nonexistent/program"], 127),
        (["no-such-program-anywhere"], 127),
        (["/etc/passwd"], 126),
        (["/"], 126),
    ],
)
def test_exit_codes_are_a_shells(kept, words, code):
    """The command's own code, 128 and the signal, 127 for none, 126 for one that cannot be run."""
    done = run(kept, *words)
    assert done.returncode == code
    if code in {126, 127}:
        assert done.stderr.decode().startswith(f"{words[0]}: ")


def test_much_output_does_not_hang(kept):
    """Ten megabytes pass, and the last lines are kept."""
    done = run(kept, *sh("yes 0123456789 | head -c 10000000; echo; echo the end"))
    assert len(done.stdout) == 10_000_000 + len("\nthe end\n")
    assert kept.read_text().splitlines()[-1] == "the end"


def test_a_reader_that_has_had_enough_ends_the_command(kept):
    """`| head -1` ends the command by SIGPIPE, as without us."""
    with subprocess.Popen(argv(kept, "yes"), stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"y\n"
        running.stdout.close()
        assert running.wait(60) == 128 + signal.SIGPIPE


def test_what_is_left_in_the_background_is_not_waited_for(kept):
    """A command that leaves a daemon behind has ended when it has, though the daemon holds its output."""
    began = time.monotonic()
    with started(kept, *sh("sleep 30 & echo $!; exit 5")) as it:
        left = int(it.stdout.readline())
        assert it.wait(60) == 5
        assert time.monotonic() - began < 15 * slowness()
        os.kill(left, signal.SIGKILL)
        assert it.stdout.read() == b""


def test_what_is_left_in_the_background_writes_on(kept, tmp_path):
    """A start script's training must not be ended by its next line, as nobody reads it any more."""
    script = "(while [ ! -e over ]; do sleep 0.05; done; echo late; echo alive > alive) & echo begun"
    with started(kept, *sh(script), cwd=tmp_path) as it:
        assert it.wait(60) == 0
        (tmp_path / "over").touch()
        assert it.stdout.read() == b"begun\nlate\n"
    assert (tmp_path / "alive").read_text() == "alive\n"


@contextmanager
def started(kept, *words, **more):
    with subprocess.Popen(argv(kept, *words), **({"stdout": subprocess.PIPE} | more)) as running:
        try:
            yield running
        finally:
            running.kill()


BUSY = """
import sys, time
from gpuwatch_tray.common.child import RunningCommand
command = RunningCommand(["true"])
until = time.monotonic() + 50
while not command._child.seconds and time.monotonic() < until:
    pass
noted = command._child.seconds
time.sleep(0.1)
print(command.wait(), command.seconds == noted > 0, file=sys.stderr)
"""


def test_how_long_it_ran_is_known_though_nobody_waits_yet():
    """The rest of the program is still loaded then: that is no time of the command's."""
    done = subprocess.run(
        [sys.executable, "-c", BUSY], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == "0 True\n"


def test_files_that_it_would_inherit_it_does(kept):
    """As the third one of `3< file`, or make's jobserver: nothing is taken from it."""
    reading, writing = os.pipe()
    os.write(writing, b"inherited\n")
    os.close(writing)
    done = run(kept, "cat", f"/dev/fd/{reading}", pass_fds=[reading])
    os.close(reading)
    assert done.stdout == b"inherited\n"


def relay_of(pid):
    """The process that passes on the output: the child that has a session of its own."""
    for number in [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]:
        with suppress(OSError):
            child = f"PPid:\t{pid}\n" in Path(f"/proc/{number}/status").read_text()
            if child and os.getsid(number) == number:
                return number
    return None


def test_who_passes_on_holds_nothing_of_others(kept):
    """A pipe that others write to ends with them, though the process that passes on lasts longer."""
    reading, writing = os.pipe()
    with started(kept, *sh("echo begun; sleep 600"), pass_fds=[writing]) as it:
        assert it.stdout.readline() == b"begun\n"
        files = {file.readlink() for file in Path(f"/proc/{relay_of(it.pid)}/fd").iterdir()}
        assert Path(f"/proc/self/fd/{writing}").readlink() not in files
        assert Path(f"/proc/{it.pid}/fd/1").readlink() in files
        it.terminate()
        it.wait(60)
    os.close(reading)
    os.close(writing)


def test_who_passes_on_can_be_killed(kept):
    """The command learns it as from any reader that is gone, and its exit code is told."""
    with started(kept, "yes") as it:
        assert it.stdout.readline() == b"y\n"
        os.kill(relay_of(it.pid), signal.SIGKILL)
        assert it.wait(60) == 128 + signal.SIGPIPE


def test_a_signal_that_interrupts_no_wait_reaches_the_command_all_the_same(kept):
    """As one that comes between two instructions: here another thread of ours gets it."""
    of_a_thread = (
        "import signal, sys, threading\n"
        "def get():\n"
        "    sys.stdin.readline()\n"
        "    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)\n"
        "threading.Thread(target=get, daemon=True).start()\n"
    )
    loop = "trap 'echo caught; exit 9' USR1; echo ready; while :; do sleep 0.05; done"
    words = [sys.executable, "-c", of_a_thread + RUNNER, str(kept), *sh(loop)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as it:
        assert it.stdout.readline() == b"ready\n"
        time.sleep(0.2)  # by then it waits for the command
        it.stdin.write(b"\n")
        it.stdin.flush()
        assert it.stdout.read() == b"caught\n"
    assert it.returncode == 9


@pytest.mark.parametrize("name", ["TERM", "USR1", "USR2"])
def test_a_signal_to_us_reaches_the_command(kept, name):
    """What is sent to the one that the caller knows is the command's to decide on."""
    with started(
        kept, *sh(f"trap 'echo caught; exit 9' {name}; echo ready; while :; do sleep 0.05; done")
    ) as it:
        assert it.stdout.readline() == b"ready\n"
        it.send_signal(getattr(signal, f"SIG{name}"))
        assert it.stdout.read() == b"caught\n"
        assert it.wait(60) == 9


@pytest.mark.parametrize("name", ["INT", "QUIT", "HUP"])
def test_a_signal_of_the_terminal_is_left_to_the_command(kept, name):
    """Ctrl-C goes to the whole group: the command ends as it likes, once, and we report it."""
    # no shell: it would tell of the end of its own children; nor what a signal in the midst of it upsets
    code = (
        "import os, signal, time\n"
        f"signal.signal(signal.SIG{name}, lambda *_: (os.write(1, b'caught\\n'), os._exit(9)))\n"
        "os.write(1, b'ready\\n')\n"
        "while True: time.sleep(0.05)\n"
    )
    with started(kept, sys.executable, "-c", code, start_new_session=True) as it:
        assert it.stdout.readline() == b"ready\n"
        os.killpg(it.pid, getattr(signal, f"SIG{name}"))
        assert it.stdout.read() == b"caught\n"
        assert it.wait(60) == 9
    assert kept.read_text().split() == ["ready", "caught"]


def test_under_nohup_the_command_ignores_it_too(kept):
    """A signal that was ignored at the start stays so for the command."""
    script = 'trap \'\' HUP; exec "$0" "$@"'
    words = ["sh", "-c", script, *argv(kept, *sh("kill -HUP $$; echo still here"))]
    done = subprocess.run(words, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"still here\n")


class Terminal:
    """A real terminal in which the command runs."""

    def __init__(self, kept, *words, columns=93):
        self.main, other = pty.openpty()
        import fcntl
        import struct
        import termios

        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("4H", 31, columns, 0, 0))
        self.running = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *argv(kept, *words)], stdin=other, stdout=other, stderr=other
        )
        os.close(other)

    def read(self, until=None, within=20.0):
        """Return what comes, up to `until` or to the end."""
        data, end = b"", time.monotonic() + within
        while until is None or until not in data:
            ready, _, _ = select.select([self.main], [], [], max(0.0, end - time.monotonic()))
            assert ready, data
            try:
                more = os.read(self.main, 65536)
            except OSError:
                more = b""
            if not more:
                break
            data += more
        return data

    def close(self):
        if self.main >= 0:
            os.close(self.main)
            self.main = -1


@pytest.fixture
def terminal(kept):
    made = []

    def begin(*words, **more):
        made.append(Terminal(kept, *words, **more))
        return made[-1]

    yield begin
    for each in made:
        each.close()
        each.running.kill()
        each.running.wait(60)


def test_on_a_terminal_the_command_is_on_one(kept, terminal):
    """It sees a terminal of the right size on both streams, line ends come once, and lines are kept."""
    it = terminal(*sh("test -t 0 && test -t 1 && test -t 2 && echo all; stty size <&1; echo error >&2"))
    assert it.read().endswith(b"all\r\n31 93\r\nerror\r\n")
    assert it.running.wait(60) == 0
    assert kept.read_text().splitlines() == ["all", "31 93", "error"]


def test_a_terminal_that_changes_its_size_tells_the_command(terminal):
    """The new size is there when the command learns that it has changed."""
    import fcntl
    import struct
    import termios

    script = "trap 'stty size <&1; exit 0' WINCH; echo ready; while :; do sleep 0.05; done"
    it = terminal(*sh(script))
    it.read(until=b"ready\r\n")
    fcntl.ioctl(it.main, termios.TIOCSWINSZ, struct.pack("4H", 50, 120, 0, 0))
    assert b"50 120\r\n" in it.read()


def test_on_a_terminal_what_is_left_in_the_background_writes_on(terminal, tmp_path):
    """It goes on to that terminal, as without us."""
    over = tmp_path / "over"
    it = terminal(*sh(f"trap '' HUP; (while [ ! -e {over} ]; do sleep 0.05; done; echo late) & echo begun"))
    it.read(until=b"begun\r\n")
    assert it.running.wait(60) == 0
    over.touch()
    assert b"late" in it.read(until=b"late")


def test_ctrl_c_reaches_the_command_once(kept, terminal):
    """The terminal sends it to both, and only the command acts on it."""
    it = terminal(*sh("trap 'echo caught' INT; echo ready; sleep 1; sleep 0.3; echo on; exit 4"))
    it.read(until=b"ready\r\n")
    os.write(it.main, b"\x03")
    assert it.read().count(b"caught") == 1
    assert it.running.wait(60) == 4
    assert "on" in kept.read_text().split()


def test_a_terminal_that_goes_away_loses_nothing(kept, terminal):
    """When the window is closed the command's end is still seen, with the lines that nobody could read."""
    it = terminal(*sh("trap '' HUP; echo ready; sleep 0.5; echo unseen; exit 6"))
    it.read(until=b"ready\r\n")
    it.close()
    assert it.running.wait(60) == 6
    assert kept.read_text().split() == ["ready", "unseen"]
