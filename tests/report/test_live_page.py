"""The page that follows the running program, in headless Chromium: from its file, with no port."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.driver.scenario import GIB, FakeGpu, FakeProcess, Scenario
from tests.report.test_payload import HOSTILE
from tests.support.installed import MIB
from tests.support.timing import wait_until

pytestmark = [pytest.mark.desktop, pytest.mark.driver]

TEXT = "document.body.innerText"
LINE = 'document.getElementById("made").textContent'
CARD = 'document.querySelectorAll(".card")[0].innerText'
ACTS = '[...document.querySelectorAll(".act code")].map((each) => each.textContent)'
OPENER = "#!/bin/sh\nexit 0\n"


@pytest.fixture
def opened(installed, tmp_path, two):
    """A watcher that polls twice a second, and the page as *Show details* opens it."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "xdg-open").write_text(OPENER)
    (tools / "xdg-open").chmod(0o755)
    installed.environment["PATH"] = f"{tools}:{Path(installed.script).parent}:{os.environ['PATH']}"
    installed.configure(POLL_SEC=0.5)
    installed.play(Scenario(gpus=[FakeGpu.numbered(0, FakeProcess(two[0], 2828 * MIB)), FakeGpu.numbered(1)]))
    with ExitStack() as stack:
        running = stack.enter_context(installed.watching())
        done = installed.run("report", "--open")
        assert done.returncode == 0, done.stderr
        yield running, Path(done.stdout.strip())


def seen(browser, script, what):
    """Wait until the page says so."""
    return wait_until(lambda: browser.run(script), f"{what}; the page says: {browser.run(TEXT)}", pause=0.2)


def test_the_page_follows_the_watcher_and_says_when_it_no_longer_does(browser, opened, installed, two):
    """A new value, an alert and its end come by themselves; a watcher that was killed is said to be silent."""
    running, file = opened
    data = file.with_name(f"{file.stem}.live.js")
    assert stat.S_IMODE(data.stat().st_mode) == 0o600
    assert stat.S_IMODE(data.parent.stat().st_mode) == 0o700
    browser.open(file)
    seen(browser, f'{LINE}.startsWith("Live: ")', "it is live")
    assert browser.run(ACTS) == []
    hot = FakeGpu.numbered(0, FakeProcess(two[0], 9 * GIB), memory_used=11 * GIB, temperature=77)
    installed.play(Scenario(gpus=[hot, FakeGpu.numbered(1, FakeProcess(two[1], 5 * GIB))]))
    seen(browser, f'{CARD}.includes("77 °C")', "the new value is on its card")
    seen(
        browser,
        "document.querySelectorAll('canvas').length === 5",
        "the charts are drawn of live values alone",
    )
    seen(browser, f'{TEXT}.includes("2 GPUs in use")', "the alert has come")
    acts = browser.run(ACTS)
    assert acts == ["gpuwatch-tray alerts ack 1", "gpuwatch-tray alerts snooze 1 1h"]
    assert f"{two[1]}" in browser.run(
        'document.querySelector("section[aria-labelledby=processes]").innerText'
    )
    done = installed.run(*acts[0].split()[1:])  # what the page says to type does what it says
    assert done.returncode == 0, done.stderr
    seen(browser, f'{TEXT}.includes("acknowledged")', "the acknowledgement is told")
    installed.play(Scenario(gpus=[hot, FakeGpu.numbered(1)]))
    seen(browser, f'!{TEXT}.includes("still fires")', "the alert is over")
    assert browser.problems() == []
    running.kill()
    seen(browser, f'{LINE}.includes("Not live")', "it says that nothing comes any more")
    told = browser.run(TEXT)
    assert "no data" in told
    assert "GPUs now" not in told
    assert "running" not in browser.run(
        'document.querySelector("section[aria-labelledby=processes]").innerText'
    )


def test_a_watcher_that_ends_says_so_in_the_file(browser, opened):
    """At its end it leaves a file without a word of processes, and the page shows when that was."""
    running, file = opened
    browser.open(file)
    seen(browser, f'{LINE}.startsWith("Live: ")', "it is live")
    running.terminate()
    seen(browser, f'{LINE}.startsWith("Not live: the tray ended at")', "it has ended")
    left = file.with_name(f"{file.stem}.live.js").read_text()
    assert "ended" in left
    assert "processes" not in left


def test_hostile_words_in_the_data_file_stay_text(browser, opened):
    """What a process is called runs nothing, and the policy lets no other script in."""
    from gpuwatch_tray.report.script_json import script_safe_json

    running, file = opened
    running.kill()
    data = file.with_name(f"{file.stem}.live.js")
    browser.open(file)
    now = browser.run("Date.now() / 1000")
    state = {"level": "ok", "word": "ok", "headline": HOSTILE.encode("utf-8", "replace").decode()}
    run = {
        "gpu": "",
        "pid": 7,
        "owner": HOSTILE,
        "name": HOSTILE,
        "command": HOSTILE,
        "start": int(now),
        "memory": 1,
    }
    news = {
        **{"at": now, "written": now, "until": now + 60, "poll": 1, "state": state, "gpus": [], "alerts": []},
        **{"processes": [run], "pids": [["", [7]]], "minutes": []},
    }
    data.write_text(f"gpuwatchLive({script_safe_json(news)});")
    seen(browser, f'{TEXT}.includes("<script>alert(1)")', "the name is shown")
    browser.run(
        'const made = document.createElement("script"); made.src = "x.js"; document.head.append(made)'
    )
    assert browser.problems() != []
    assert all("Content Security Policy" in problem for problem in browser.problems())
