"""`when free N -- COMMAND` with the installed program: waits, claims, runs, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal

import pytest

from tests.driver.scenario import FakeGpu, FakeProcess, Scenario
from tests.support.installed import MIB
from tests.support.terminal import terminal
from tests.support.timing import wait_until

pytestmark = [pytest.mark.driver, pytest.mark.configured(GPU_LIMIT=4)]

SHOW = ["--", "sh", "-c", "echo on $CUDA_VISIBLE_DEVICES"]
UUIDS = [f"GPU-00000000-0000-0000-0000-{number:012d}" for number in range(3)]


def play(installed, *busy, count=2):
    """Play `count` GPUs, of which these have a process of the test's."""
    held = [FakeProcess(os.getpid(), 100 * MIB)]
    gpus = [FakeGpu.numbered(number, *(held if number in busy else ())) for number in range(count)]
    installed.play(Scenario(gpus=gpus))


def free(installed, *words, **more):
    return installed.run("when", "free", *words, **more)


def runs(installed):
    return json.loads(installed.run("runs", "--json").stdout)


def start(installed, *words):
    return installed.start("when", "free", *words)


def test_free_gpus_are_given_to_the_command_by_uuid(installed):
    """It sees those alone, whose numbers begin at 0 for it; its exit code is passed on."""
    play(installed, 0, count=3)
    done = free(installed, "2", "--for", "1s", *SHOW)
    assert (done.returncode, done.stdout) == (0, f"on {UUIDS[1]},{UUIDS[2]}\n")
    assert "GPU 1, GPU 2 are free after" in done.stderr
    assert free(installed, "1", "--for", "1s", "--", "sh", "-c", "exit 9").returncode == 9
    assert [record["code"] for record in runs(installed)] == [9, 0]


def test_it_waits_until_the_other_has_ended(installed):
    """While it waits `runs` says for what; then it starts by itself."""
    play(installed, 0, 1)
    running = start(installed, "2", "--for", "1s", "--name", "base", *SHOW)
    wait_until(lambda: "base: waits for 2 GPUs" in installed.run("runs").stdout, "the wait")
    assert running.poll() is None
    play(installed)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (0, f"on {UUIDS[0]},{UUIDS[1]}\n")
    assert err.startswith("gpuwatch-tray: waiting for 2 GPUs (free now: 0)\n")


def test_two_that_wait_never_get_the_same(installed):
    """The driver lists neither command; the claim of the first keeps the second off."""
    first = start(
        installed, "1", "--for", "1s", "--", "sh", "-c", "echo on $CUDA_VISIBLE_DEVICES; exec sleep 600"
    )
    try:
        assert first.stdout.readline() == f"on {UUIDS[0]}\n"
        assert free(installed, "1", "--for", "1s", *SHOW).stdout == f"on {UUIDS[1]}\n"
        late = free(installed, "2", "--for", "1s", "--timeout", "2s", *SHOW)
        assert (late.returncode, late.stdout) == (124, "")
        assert "not free within 2 s: the command was not started" in late.stderr
    finally:
        first.terminate()
        first.communicate(timeout=60)


def test_a_claim_lasts_as_long_as_the_command(installed):
    """After kill -9 of who waited its command runs on, and no other run gets that GPU until it ends."""
    script = "echo $$ on $CUDA_VISIBLE_DEVICES; exec sleep 600"
    first = start(installed, "1", "--for", "1s", "--", "sh", "-c", script)
    pid, _on, uuid = first.stdout.readline().split()
    try:
        first.kill()
        first.wait(20)
        assert uuid == UUIDS[0]
        late = free(installed, "2", "--for", "1s", "--timeout", "2s", *SHOW)
        assert (late.returncode, late.stdout) == (124, "")
        assert free(installed, "1", "--for", "1s", *SHOW).stdout == f"on {UUIDS[1]}\n"
    finally:
        os.kill(int(pid), signal.SIGKILL)
        first.communicate(timeout=30)
    done = free(installed, "2", "--for", "1s", "--timeout", "60s", *SHOW)
    assert done.stdout == f"on {UUIDS[0]},{UUIDS[1]}\n"


def test_what_a_command_leaves_behind_keeps_no_claim(installed):
    """Once its end was seen the GPU is free, though a process that it started has inherited the claim."""
    left = free(installed, "1", "--for", "1s", "--", "sh", "-c", "sleep 600 > /dev/null 2>&1 & echo $!")
    try:
        done = free(installed, "2", "--for", "1s", "--timeout", "60s", *SHOW)
        assert done.stdout == f"on {UUIDS[0]},{UUIDS[1]}\n"
    finally:
        os.kill(int(left.stdout), signal.SIGKILL)


def test_ctrl_c_leaves_nothing(installed):
    """No record, no place in the queue, no claim, no process."""
    play(installed, 0, 1)
    words = [installed.script, "when", "free", "1", *SHOW]
    with terminal(words, installed.environment) as shown:
        wait_until(lambda: any("waiting for 1 GPU" in line for line in shown.lines()), "the wait")
        assert shown.interrupt() != 0
    assert runs(installed) == []
    assert list((installed.state / "claims" / "queue").iterdir()) == []


@pytest.mark.parametrize("option", ["--detach", "--det"])
def test_it_outlives_the_terminal(installed, option):
    """`--detach` says which process waits, and `runs` has its end; it may be shortened, and starts one."""
    play(installed, 0, 1)
    done = free(installed, "1", "--for", "1s", option, *SHOW)
    pid = int(done.stdout.split()[1])
    wait_until(lambda: [one for one in runs(installed) if one["waits"]], "the wait")
    play(installed)
    wait_until(lambda: [one for one in runs(installed) if one["code"] == 0], "the end")
    assert installed.run("runs", "log", "1").stdout == f"on {UUIDS[0]}\n"
    wait_until(lambda: not running(pid), "the process to end")


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_that_was_killed_while_it_waited_never_started(installed):
    """`runs` says so, and not that its end is unknown."""
    play(installed, 0, 1)
    waiting = start(installed, "1", *SHOW)
    wait_until(lambda: [one for one in runs(installed) if one["waits"]], "the wait")
    waiting.send_signal(signal.SIGKILL)
    waiting.communicate(timeout=60)
    assert "it never started: the wait for 1 GPU was ended" in installed.run("runs").stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["3", *SHOW], "there are only 2 GPUs here"),
        (["3", "--detach", *SHOW], "there are only 2 GPUs here"),
        (["1", "--only", "5", *SHOW], "there is no GPU 5 here"),
        (["2", "--only", "1", *SHOW], "there is only 1 GPU here"),
        (["1", "--memory", "80G", *SHOW], "no GPU here has so much memory: the largest has 24576 MiB"),
        (["1", "--memory", "much", *SHOW], "expected a size such as 20G"),
        (["1", "--max-use", "101", *SHOW], "expected 0 to 100"),
        (["1", "--timeout", "soon", *SHOW], "soon"),
        (["1", "--memory", "20G"], "--memory is for a command"),
        (["1", "--demo", *SHOW], "demo"),
    ],
)
def test_what_can_never_be_is_wrong_use(installed, words, reason):
    """It does not wait for ever for what cannot come."""
    done = free(installed, *words)
    assert (done.returncode, reason in done.stderr) == (2, True), done.stderr
    assert runs(installed) == []
