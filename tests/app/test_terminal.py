"""`watch` and `ps --watch` on a real terminal and in a pipe, with the installed program."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest

from tests.driver.scenario import UNKNOWN, FakeGpu, FakeProcess, Scenario
from tests.support.installed import MIB
from tests.support.terminal import terminal
from tests.support.timing import wait_until

pytestmark = pytest.mark.driver


def play(installed, *busy, count=2):
    """Play `count` GPUs, of which those with these numbers have a process of ours."""
    installed.play(
        Scenario(
            gpus=[
                FakeGpu.numbered(number, *([FakeProcess(os.getpid(), 2828 * MIB)] if number in busy else ()))
                for number in range(count)
            ]
        )
    )


@pytest.fixture
def watch(installed):
    installed.configure(POLL_SEC=0.2, TO_EMAIL="")
    with terminal([installed.script, "watch"], installed.environment) as shown:
        yield shown


def standing(shown, pattern):
    """The lines on the screen that have this."""
    return [line for line in shown.lines() if re.search(pattern, line)]


def test_the_summary_is_redrawn_in_place(installed, watch):
    """After many polls there is one summary; an alert's coming and going stand above it, once each."""
    wait_until(lambda: standing(watch, r"^ok +All within limits: 0 of 2"), "the first reading")
    play(installed, 0, 1)
    wait_until(lambda: standing(watch, r"new +warning: 2 GPUs in use"), "the alert")
    wait_until(lambda: standing(watch, r"^#\d+ +2 GPUs in use; the limit is 1$"), "its number")
    drawn = watch.written.count(b"read at")
    wait_until(lambda: watch.written.count(b"read at") > drawn + 5, "five more polls")
    play(installed)
    wait_until(lambda: standing(watch, r"over +2 GPUs in use"), "its end")
    wait_until(lambda: standing(watch, r"^ok +All within limits: 0 of 2"), "the calm")
    assert watch.interrupt() == 0
    shown = watch.everything()
    for once in ("read at", "  new  ", "  over  ", "Stop with Ctrl-C", "GPU 0  ", "GPU 1  ", "Stopped."):
        assert sum(once in line for line in shown) == 1, shown
    assert max(map(len, shown)) <= 80
    assert not watch.cursor_hidden()


def test_colour_is_left_out_where_nobody_wants_it(installed):
    """NO_COLOR (no-color.org) leaves the layout and takes the colours."""
    installed.configure(TO_EMAIL="")
    for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        with terminal([installed.script, "watch"], installed.environment | variables) as shown:
            wait_until(lambda: standing(shown, r"^ok +All within"), "the summary")
            assert (re.search(rb"\x1b\[[0-9;]*32m", shown.written) is not None) is coloured


def test_a_list_of_gpus_higher_than_the_terminal_is_counted(installed):
    """Sixteen GPUs on 14 rows: the summary keeps its place, and says how many it leaves out."""
    installed.configure(TO_EMAIL="", POLL_SEC=0.2)
    play(installed, count=16)
    with terminal([installed.script, "watch"], installed.environment, rows=14) as shown:
        wait_until(lambda: standing(shown, r"and \d+ more"), "the count")
        wait_until(lambda: shown.written.count(b"read at") > 4, "more polls")
        rows = [line for line in shown.everything() if re.match(r"GPU \d+ ", line)]
        (more,) = standing(shown, r"and \d+ more")
        assert len(rows) + int(re.search(r"\d+", more)[0]) == 16


def test_a_terminal_that_takes_nothing_does_not_stop_the_watch(installed):
    """Ctrl-S, or a pipe that nobody reads: the alert is found, stored and answered for all the same."""
    installed.configure(POLL_SEC=0.2, TO_EMAIL="")
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    running = subprocess.Popen(
        [installed.script, "watch"],
        env=installed.environment,
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        wait_until(lambda: installed.run("status").returncode == 0, "an answer")
        play(installed, 0, 1)
        wait_until(lambda: "2 GPUs in use" in installed.run("status").stdout, "the alert")
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    finally:
        os.close(reading)
        running.kill()
        running.wait(60)


def test_in_a_pipe_each_line_is_whole_and_dated(installed):
    """A service's journal and `tee` get lines without colours or cursor moves, and what to type next."""
    installed.configure(TO_EMAIL="")
    with subprocess.Popen(
        [installed.script, "watch"],
        env=installed.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        lines = []
        while not lines or "  ok  " not in lines[-1]:
            lines.append(running.stdout.readline())
        running.terminate()
        rest = running.stdout.read()
    assert "\x1b" not in "".join(lines) + rest
    assert lines[0] == "Watching. Stop with Ctrl-C. In another terminal:\n"
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ok       All within limits", lines[-1])


def test_ps_is_redrawn_in_place(installed):
    """`ps --watch` keeps one list on the screen; the scroll-back is not touched."""
    play(installed, 0)
    command = [installed.script, "ps", "--all", "--watch", "0.2"]
    with terminal(command, installed.environment) as shown:
        wait_until(lambda: shown.written.count(b"read at") > 5, "six lists")
        assert shown.interrupt() == 0
        lists = [line for line in shown.everything() if line.startswith("GPU=0")]
        assert len(lists) == 1
        assert standing(shown, r"every 0.2 s · Ctrl-C stops")
    assert b"\x1b[3J" not in shown.written


def test_ps_in_place_says_what_could_not_be_read(installed):
    """A GPU whose list fails is named below the list; once it is readable, the line is gone."""
    failing = FakeGpu.numbered(0, errors={"compute": UNKNOWN})
    installed.play(Scenario(gpus=[failing]))
    command = [installed.script, "ps", "--all", "--watch", "0.2"]
    with terminal(command, installed.environment) as shown:
        wait_until(lambda: standing(shown, "GPU 0"), "the reason")
        installed.play(Scenario(gpus=[FakeGpu.numbered(0)]))
        wait_until(lambda: not standing(shown, "GPU 0"), "the healthy list")
        assert shown.interrupt() == 0
