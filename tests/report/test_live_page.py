"""The page that follows the running program, in headless Chromium: from its file, with no port."""

from __future__ import annotations

import csv
import io
import os
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from gpuwatch_tray.report.document import Feed, PageContext, html
from gpuwatch_tray.report.script_json import script_safe_json
from tests.driver.scenario import GIB, FakeGpu, FakeProcess, Scenario
from tests.report import histories
from tests.report.test_in_the_browser import barriers
from tests.report.test_payload import HOSTILE
from tests.support.installed import MIB
from tests.support.timing import wait_until

pytestmark = [pytest.mark.desktop, pytest.mark.driver]

TEXT = "document.body.innerText"
LINE = 'document.getElementById("made").textContent'
CARD = 'document.querySelectorAll(".card")[0].innerText'
ACTS = '[...document.querySelectorAll(".act code")].map((each) => each.textContent)'
SPAN = 'document.querySelector(".aside .quiet").textContent'
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


class Played:
    """A page of 20 minutes on file whose data file the test writes; `written` is its last word."""

    def __init__(self, folder, browser, *, fresh=False):
        self.folder = folder
        self.browser = browser
        self.made = int(browser.run("Date.now() / 1000"))
        self.made -= self.made % 60
        self.history = histories.history(1, 20 * 60, end=self.made, gap=False)
        self.file = folder / "box.html"
        feed = Feed("box.live.js", "MadeUpNonce")
        live = histories.live(self.history, state="ok", headline="calm")
        if fresh:
            self.history = replace(self.history, samples={}, runs=())
        about = PageContext("box", self.made, live=live, present=histories.present(self.history), feed=feed)
        self.file.write_text(html(self.history, about), encoding="utf-8")

    def write(self, **news):
        now = self.browser.run("Date.now() / 1000")
        text = script_safe_json({"written": now, **news})
        part = self.folder / "part"
        part.write_text(f"gpuwatchLive({text});")
        part.replace(self.folder / "box.live.js")

    def news(self, at, *, values=(2048, 50, 60, 100), minutes=(), alerts=(), level="ok"):
        """What the tray tells at this moment, in seconds after the page was made."""
        state = {"level": level, "word": level, "reason": ""}
        gpu = {"id": histories.uuid(0), "state": state, "facts": [["Temperature", f"{values[2]} °C", None]]}
        self.write(
            at=self.made + at,
            until=self.made + 3600,
            poll=1,
            state={"level": level, "word": level, "headline": f"told at {at}"},
            gpus=[{**gpu, "values": list(values), "total": 24576}],
            minutes=[[self.made + start, [[histories.uuid(0), rows]]] for start, rows in minutes],
            alerts=list(alerts),
            processes=[],
            pids=[],
        )

    def saved(self):
        """The rows of the charts' data, as the page itself writes them."""
        script = """(() => {
          let made = null;
          const before = URL.createObjectURL;
          URL.createObjectURL = (blob) => { made = blob; return "#"; };
          document.querySelector("a[download]").click();
          URL.createObjectURL = before;
          return made.text();
        })()"""
        return list(csv.DictReader(io.StringIO(self.browser.run(script))))


@pytest.fixture
def played(browser, tmp_path):
    return Played(tmp_path, browser)


def test_a_first_look_begins_with_the_first_value(browser, tmp_path):
    """With nothing on file the charts come with the first reading, which is where their axis begins."""
    fresh = Played(tmp_path, browser, fresh=True)
    state = {"level": "no_data", "word": "no data", "headline": "reading for the first time"}
    lists = {name: [] for name in ("gpus", "minutes", "alerts", "processes", "pids")}
    fresh.write(at=fresh.made, until=fresh.made + 3600, poll=1, state=state, **lists)
    browser.open(fresh.file)
    seen(browser, f'{TEXT}.includes("for the first time")', "that nothing is known yet")
    assert browser.run("document.querySelectorAll('canvas').length") == 0
    fresh.news(20, values=(2048, 50, 61, 100))
    seen(browser, "document.querySelectorAll('canvas').length === 5", "the charts")
    assert [degrees(row)[1] for row in fresh.saved()] == ["61"]
    fresh.news(21, values=(2048, 50, 62, 100))
    seen(browser, f'{TEXT}.includes("told at 21")', "the second reading")
    assert [degrees(row)[1] for row in fresh.saved()] == ["61", "62"]
    began = browser.run(f"new Date({fresh.made + 20} * 1000).toTimeString().slice(0, 5)")
    assert browser.run(SPAN).split()[2] == began
    shades = browser.run('document.querySelector(".heat").style.backgroundImage')
    assert "var(--heat1)" in shades  # what has been seen is not hatched
    told = [[1024, 2048, 3072], [40, 50, 60], [58, 61, 63], [90, 100, 110]]
    fresh.news(61, minutes=[(0, told)])
    seen(browser, f'{TEXT}.includes("told at 61")', "a minute is over")
    assert [degrees(row)[1] for row in fresh.saved()] == ["61", "60"]
    assert browser.problems() == []


def degrees(row):
    return tuple(row[f"temperature_celsius_{part}"] for part in ("low", "mean", "high"))


def test_readings_follow_the_minutes_and_give_way_to_them(browser, played):
    """A reading is a value of its own until its minute is over; a minute in which nobody looked is a gap."""
    played.news(5, values=(2048, 50, 61, 100))
    browser.open(played.file)
    seen(browser, f'{TEXT}.includes("told at 5")', "the first reading")
    rows = played.saved()
    spans = browser.run(SPAN)
    assert len(rows) == 21
    assert degrees(rows[-1]) == ("61", "61", "61")
    played.news(8, values=(2048, 50, 62, 100))
    seen(browser, f'{TEXT}.includes("told at 8")', "the second reading")
    assert [degrees(row)[1] for row in played.saved()[-2:]] == ["61", "62"]
    told = [[1024, 2048, 3072], [40, 50, 60], [58, 61, 63], None]
    played.news(190, values=(2048, 50, 70, 100), minutes=[(0, told), (120, told)])
    seen(browser, f'{TEXT}.includes("told at 190")', "two minutes")
    assert browser.run(SPAN) != spans  # the charts go on with the values
    rows = played.saved()
    assert [degrees(row) for row in rows[-3:]] == [("58", "61", "63")] * 2 + [("70", "70", "70")]
    assert rows[-2]["power_watt_mean"] == ""
    assert browser.problems() == []


def test_a_page_that_nobody_sees_asks_for_nothing(browser, played):
    """Whoever looks at it again sees the present, and the minutes between."""
    played.news(5)
    browser.open(played.file)
    seen(browser, f'{TEXT}.includes("told at 5")', "the first reading")
    hide = (
        "window.tucked = %s;"
        "Object.defineProperty(document, 'hidden', {get: () => tucked, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    browser.run(hide % "true")
    asked = len(browser.requests())
    told = [[1024, 2048, 3072], [40, 50, 60], [58, 61, 63], [90, 100, 110]]
    played.news(65, minutes=[(0, told)])
    browser.run("new Promise((done) => { setTimeout(done, 3000); })")  # three loads of a page that is seen
    assert len(browser.requests()) == asked
    assert "told at 65" not in browser.run(TEXT)
    browser.run(hide % "false")
    seen(browser, f'{TEXT}.includes("told at 65")', "the present")
    assert [degrees(row)[1] for row in played.saved()[-2:]] == ["61", "60"]


def test_a_value_of_long_ago_is_not_live(browser, played):
    """A file of before is told as what it is, however fresh the page; what is new makes it live."""
    played.write(at=played.made - 4000, until=0, poll=1, gpus=[], written=played.made - 4000)
    browser.open(played.file)
    seen(browser, f'{LINE}.startsWith("Not live")', "it is old")
    assert "GPUs now" not in browser.run(TEXT)
    played.news(1, level="warning")
    seen(browser, f'{LINE}.startsWith("Live: ")', "it is live")
    assert "GPUs now" in browser.run(TEXT)
    played.write(stopped=played.made + 2)
    seen(browser, f'{LINE}.includes("stopped following")', "it has stopped")
    assert browser.run('document.querySelectorAll(".card .word")[0].innerText') == "no data"
    played.news(3)
    seen(browser, f'{LINE}.startsWith("Live: ")', "it is live again")
    (played.folder / "box.live.js").unlink()
    seen(
        browser,
        f'{LINE}.includes("its data file is gone")',
        "the file is gone, as a demo's folder goes with it",
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_serious_barrier_on_a_page_that_follows(browser, played, width, dark):
    """While an alert fires, with what is to be typed; and once the page is not live any more."""
    alert = {"id": 7, "level": "critical", "word": "critical", "rank": 3, "title": "Hot", "text": "hot"}
    alert |= {"note": "acknowledged", "at": played.made + 1, "end": None}
    played.news(2, alerts=[alert])
    browser.open(played.file, width=width, dark=dark)
    seen(browser, f"{ACTS}.length === 2", "the alert")
    browser.run('document.querySelectorAll("details").forEach((each) => { each.open = true; })')
    assert barriers(browser) == []
    played.write(stopped=played.made + 2)
    seen(browser, f'{LINE}.includes("stopped following")', "it has stopped")
    assert barriers(browser) == []


def test_a_page_whose_browser_cannot_read_the_file_says_so(browser, played):
    """As one from Flatpak, which sees the page alone; it is not taken for the present."""
    browser.open(played.file)
    seen(browser, f'{LINE}.includes("cannot read box.live.js")', "it cannot be read")
    assert browser.run('document.querySelectorAll(".card .word")[0].innerText') == "no data"


def test_an_alert_comes_goes_and_can_be_copied(browser, played):
    """Its row comes with the words to type, and says that it is over once it is."""
    browser.ask("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    alert = {
        "id": 7,
        "level": "warning",
        "word": "warning",
        "rank": 2,
        "title": "Hot",
        "text": "GPU 0 is hot",
    }
    alert |= {"note": "", "at": played.made + 1, "end": None}
    played.news(2, alerts=[alert])
    browser.open(played.file)
    seen(browser, f'{TEXT}.includes("GPU 0 is hot")', "the alert")
    browser.run('document.querySelector(".act button").focus()')
    played.news(3, alerts=[alert])
    seen(browser, f'{TEXT}.includes("told at 3")', "the next reading")
    assert browser.run("document.activeElement.textContent") == "Copy"  # not taken from under the person
    browser.run("document.activeElement.click()")
    seen(browser, 'document.querySelector(".act button").textContent === "Copied"', "it is copied")
    played.news(63)
    seen(browser, f'!{TEXT}.includes("still firing")', "it is over")
    assert browser.run(ACTS) == []


def seen(browser, script, what):
    """Wait until the page says so."""
    return wait_until(lambda: browser.run(script), f"{what}; the page says: {browser.run(TEXT)}", pause=0.2)


def test_the_page_follows_the_watcher_and_says_when_it_no_longer_does(browser, opened, installed, two):
    """A value, an alert and its end come by themselves; a watcher that was killed is said to be silent."""
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
    seen(browser, f'!{TEXT}.includes("still firing")', "the alert is over")
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
    seen(browser, f'{LINE}.startsWith("Not live: gpuwatch-tray stopped at")', "it has ended")
    left = file.with_name(f"{file.stem}.live.js").read_text()
    assert "ended" in left
    assert "processes" not in left


def test_hostile_words_in_the_data_file_stay_text(browser, opened):
    """What a process is called runs nothing, and the policy lets no other script in."""
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
        "at": now,
        "written": now,
        "until": now + 60,
        "poll": 1,
        "state": state,
        "processes": [run],
        "pids": [["", [7]]],
        "gpus": [],
        "alerts": [],
        "minutes": [],
    }
    data.write_text(f"gpuwatchLive({script_safe_json(news)});")
    seen(browser, f'{TEXT}.includes("<script>alert(1)")', "the name is shown")
    browser.run(
        'const made = document.createElement("script"); made.src = "x.js"; document.head.append(made)'
    )
    assert browser.problems() != []
    assert all("Content Security Policy" in problem for problem in browser.problems())
