"""`when` through the installed console script: real processes, a running watcher, and mail on loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time

import pytest

from tests.driver.scenario import DRIVER_NOT_LOADED, FakeGpu, FakeProcess, Scenario
from tests.support.installed import MIB, busy
from tests.support.timing import PATIENCE
from tests.support.workers import workers

# PID 1 is played as a process on a GPU, and may have run for longer than the limit on the longest.
pytestmark = [
    pytest.mark.driver,
    pytest.mark.configured(POLL_SEC=1, GPU_LIMIT=4, MAX_ETIME_MIN="off"),
]

NOBODY = "nothing is watching now: start gpuwatch-tray\n"
SECRET = "hf_canary0123456789abcdefghijkl"
CALM = Scenario(gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1)])


@pytest.fixture
def worker(tmp_path):
    with workers(tmp_path, ["train.py", "--token", SECRET]) as (child,):
        yield child


def end(child):
    child.kill()
    child.wait(60)


def when(installed, *words, code=0, **more):
    done = installed.run("when", *words, **more)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def test_a_free_gpu_is_mailed_once(installed, server, worker):
    """Asked of a running watcher: told when the GPUs have been free for the time, and then never again."""
    installed.play(busy(worker.pid, 1))
    with installed.watching():
        said = when(installed, "free", "2", "--for", "2s")
        assert said == "1: you will be notified when 2 GPUs are free for 2 s (free now: 0)\n"
        installed.play(CALM)
        (mail,) = server.wait_for(1)
        assert mail.message["Subject"].startswith("[GPU Watchdog] 2 GPUs free: ada@")
        assert "- GPU 0 (NVIDIA Test 4090), GPU 1 (NVIDIA Test 4090) are free: no compute" in mail.text
        assert when(installed, "list") == "no pending reminders\n"
    with installed.watching():
        time.sleep(2.5)  # two polls, in which it could be told again
    assert len(server.messages) == 1


def test_the_end_of_a_process_is_mailed(installed, server, worker):
    """Its end is seen although the driver's list is gone, with run time, peak, and no secret."""
    installed.play(busy(worker.pid))
    with installed.watching():
        said = when(installed, "ends", str(worker.pid))
        assert said == f"1: you will be notified when PID {worker.pid} (python train.py --token ***) ends\n"
        listed = f"    1  PID {worker.pid} (python train.py --token ***) ends\n"
        assert when(installed, "list") == listed
        installed.play(CALM)
        time.sleep(1.5)  # off the GPUs, and alive: not the end
        assert server.messages == ()
        installed.play(Scenario(init_error=DRIVER_NOT_LOADED))
        end(worker)
        (mail,) = server.wait_for(1)
    assert mail.message["Subject"].startswith("[GPU Watchdog] Process ended: ada@")
    assert re.search(
        rf"- PID {worker.pid} \(python train\.py --token \*\*\*, GPU 0\) has ended after \d+ s\n"
        r"- the system shows that it has ended; how, only the program that started it knows\n"
        r"- peak GPU memory: 2\.8 GiB\n",
        mail.text,
    )


def test_a_process_that_has_just_come_can_be_waited_for(installed, worker):
    """A process younger than the last poll is found by another look."""
    installed.configure(POLL_SEC=30)
    with installed.watching():
        installed.play(busy(worker.pid))
        assert "you will be notified" in when(installed, "ends", str(worker.pid))


def test_an_end_while_nothing_watched_is_told_at_the_next_start(installed, server, worker):
    """What is asked for is kept: asked with nobody there, it is looked after by whoever comes next."""
    installed.play(busy(worker.pid))
    assert when(installed, "ends", str(worker.pid)).endswith(NOBODY)
    with installed.watching():
        assert when(installed, "list").count("\n") == 1
    end(worker)
    installed.play(CALM)
    assert installed.run("check").returncode == 0
    (mail,) = server.messages
    # "after 2 s", or on a busy machine when it was last seen
    assert f"- PID {worker.pid} (python train.py --token ***, GPU 0) has ended" in mail.text
    assert installed.run("check").returncode == 0
    assert len(server.messages) == 1


def test_check_sees_free_gpus_at_two_runs(installed, server):
    """With cron alone it is told at the second run that sees them free, and says what that means."""
    when(installed, "free", "1", "--for", "1s")
    installed.run("check")
    assert server.messages == ()
    time.sleep(1.1)  # the hold
    installed.run("check")
    (mail,) = server.messages
    assert "- seen in two runs of `check`" in mail.text


def test_another_boot_ends_every_process(installed, server, worker):
    """A process of an earlier boot is gone with it, whoever has its number now."""
    installed.play(busy(worker.pid))
    when(installed, "ends", str(worker.pid))
    import sqlite3  # no other way to restart the machine

    (file,) = installed.state.glob("state-*.sqlite3")
    database = sqlite3.connect(file)
    with database:
        database.execute("UPDATE watches SET body = json_set(body, '$.wish.boot', 'earlier')")
    database.close()
    installed.run("check")
    (mail,) = server.messages
    assert "it had run for" in mail.text
    assert ": the machine was restarted\n" in mail.text


@pytest.mark.parametrize("there", [True, False], ids=["watcher", "store"])
def test_mistakes(installed, worker, there):
    """What cannot be waited for is one clear line, with 1 for a state of things and 2 for wrong use."""
    installed.play(busy(worker.pid))

    def check():
        line = f"process {os.getpid()} is not on a GPU here (on the GPUs: {worker.pid})"
        assert line in when(installed, "ends", str(os.getpid()), code=1)
        assert "there is only 1 GPU here" in when(installed, "free", "2", code=1)
        assert "there is no reminder 7 (pending: none)" in when(installed, "cancel", "7", code=1)
        assert "expected a duration" in when(installed, "free", "1", "--for", "soon", code=2)
        assert "expected a whole number above 0" in when(installed, "free", "0", code=2)
        assert when(installed, "list") == "no pending reminders\n"

    if not there:
        check()
        return
    with installed.watching():
        check()


def test_what_is_cancelled_is_not_told(installed, server, worker):
    """`when cancel ID` ends the wait, with and without a watcher."""
    installed.play(busy(worker.pid))
    when(installed, "ends", str(worker.pid))
    assert when(installed, "cancel", "1").startswith(f"cancelled: 1: PID {worker.pid} (")
    with installed.watching():
        assert when(installed, "ends", str(worker.pid)).startswith("2: ")
        assert when(installed, "cancel", "2").startswith("cancelled: 2: ")
        end(worker)
        installed.play(CALM)
        time.sleep(2.5)  # two polls, in which it could be told
    assert server.messages == ()


FAILS = ["sh", "-c", f"echo started; echo --token {SECRET}; echo broken >&2; exit 3"]


@pytest.mark.parametrize("there", [True, False], ids=["watcher", "outbox"])
def test_a_command_is_reported(installed, server, there):
    """`when run` passes output and code through, and mails how it ended with the last lines, redacted."""

    def run():
        done = installed.run("when", "run", "--", *FAILS)
        assert (done.returncode, done.stdout) == (3, f"started\n--token {SECRET}\n")
        assert done.stderr == "broken\n"
        return server.wait_for(1)[0]

    if there:
        with installed.watching():
            mail = run()
    else:
        mail = run()
    assert mail.message["Subject"].startswith("[GPU Watchdog] Command failed: ada@")
    assert re.search(r"- sh -c echo started; echo --token \*\*\* .*\n- exit code 3 after \d+ s\n", mail.text)
    for line in ("started", "--token ***", "broken"):
        assert f"\n  {line}\n" in mail.text
    assert "canary" not in mail.raw.decode("ascii", "replace")
    assert when(installed, "list") == "no pending reminders\n"


def test_a_command_with_its_peak(installed, server):
    """What the watcher has seen of its memory, and of what it started, is in the report."""
    with installed.watching():
        words = [installed.script, "when", "run", "sh", "-c", "sh -c 'echo $$; read x'; exit $?"]
        with subprocess.Popen(
            words, env=installed.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as running:
            pid = int(running.stdout.readline())
            first = FakeGpu.numbered(0, FakeProcess(pid, 700 * MIB))
            installed.play(Scenario(gpus=[first, FakeGpu.numbered(1)]))
            until = time.monotonic() + PATIENCE
            while f"PID={pid}" not in installed.run("ps").stdout:
                assert time.monotonic() < until
            time.sleep(2.5)  # two polls
            running.communicate("\n", timeout=60)
            assert running.returncode == 0
        (mail,) = server.wait_for(1)
    assert mail.message["Subject"].startswith("[GPU Watchdog] Command finished: ")
    assert "- peak GPU memory: 700 MiB\n" in mail.text


def test_a_closed_terminal_loses_no_report(installed, server):
    """SIGHUP ends the command, as it would; its end is reported all the same."""
    with subprocess.Popen(
        [installed.script, "when", "run", "sh", "-c", "echo ready; sleep 60"],
        env=installed.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as running:
        assert running.stdout.readline() == b"ready\n"
        os.killpg(running.pid, signal.SIGHUP)
        assert running.wait(60) == 128 + signal.SIGHUP
    (mail,) = server.wait_for(1)
    assert "\n- exit code 129 after" in mail.text


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--", "sh", "-c", "exit 4"], 4, ""),
        (["sh", "-c", "exit $#", "x", "--", "-y", "--source"], 3, ""),
        (["--", "/nonexistent"], 127, "gpuwatch-tray: /nonexistent: No such file or directory"),
        (["--", "/etc/passwd"], 126, "gpuwatch-tray: /etc/passwd: Permission denied"),
        ([], 2, "gpuwatch-tray: when run needs a command"),
    ],
)
def test_the_commands_words_are_its_own(installed, server, words, code, said):
    """Options behind the command are the command's; what cannot be started ends as in a shell."""
    done = installed.run("when", "run", *words)
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert bool(done.stderr) is bool(said)


def test_nothing_of_ours_keeps_a_command_from_running(installed, tmp_path):
    """Broken settings and a state that cannot be kept cost the report only, and say so."""
    installed.write("gpu-watch.env", "GPU_LIMIT=two\nTO_EMAIL=ada@example.org\n")
    (tmp_path / "no folder").write_text("")
    done = installed.run(
        "when", "run", "--", "sh", "-c", "echo done; exit 5", GPUWATCH_CACHE=str(tmp_path / "no folder" / "x")
    )
    assert (done.returncode, done.stdout) == (5, "done\n")
    first, second = done.stderr.splitlines()
    assert first.startswith("gpuwatch-tray: no log of this run is kept: ")
    assert second.startswith("gpuwatch-tray: the end of this command will not be reported: ")


def test_without_mail_and_watcher_it_is_told_later(installed):
    """Where nobody can be told now, that is said at the start, and the notice waits."""
    installed.configure(TO_EMAIL="")
    done = installed.run("when", "run", "true")
    assert done.returncode == 0
    assert done.stderr.endswith("you will be notified once gpuwatch-tray runs\n")
    assert ", not yet reported\n" in when(installed, "list")
    with installed.watching() as running:
        line = running.stdout.readline()
        while "  notice   true: done after " not in line:
            line = running.stdout.readline()
            assert line


def test_a_demo_has_its_own(installed):
    """Without a running demo there is nothing to ask."""
    assert "no demo is running" in when(installed, "free", "1", "--demo", code=1)
