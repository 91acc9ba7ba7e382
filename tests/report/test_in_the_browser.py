"""The page in headless Chromium: drawn, quiet, without barriers, and unmoved by hostile names."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from PIL import Image

from gpuwatch_tray import i18n
from gpuwatch_tray.model import History
from gpuwatch_tray.report.document import PageContext, html
from tests.e2e.rig import shots
from tests.report import histories
from tests.report.histories import DAY, END
from tests.report.test_payload import HOSTILE
from tests.support.timing import wait_until

pytestmark = pytest.mark.desktop

AXE = Path(__file__).parent.parent / "vendor" / "axe.min.js"
LABELS = 'document.querySelector("body").innerText'
TAB, ENTER, SPACE, RIGHT_KEY = ("Tab", 9), ("Enter", 13, "\r"), (" ", 32, " "), ("ArrowRight", 39)
FOCUS = """(() => {
  const at = document.activeElement;
  return [at.tagName, at.getAttribute("aria-label") || at.textContent.trim()].join(" ");
})()"""
# The share of a canvas that is not its ground: what has been drawn.
INK = """[...document.querySelectorAll("canvas")].map((canvas) => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let drawn = 0;
  for (let at = 3; at < data.length; at += 4) drawn += data[at] > 0;
  return drawn / (data.length / 4);
})"""
PLACE = """((place) => {
  const over = document.querySelectorAll(".u-over")[place].getBoundingClientRect();
  return [over.x, over.y, over.width];
})(%d)"""


@pytest.fixture(scope="module")
def day():
    return histories.history(2)


def write(folder, history, **more):
    file = folder / "page.html"
    there = {"live": histories.live(history), "present": histories.present(history)} if history.gpus else {}
    about = {"usage": histories.usage()} | there | more
    file.write_text(html(history, PageContext("box", history.end, **about)), encoding="utf-8")
    return file


@pytest.fixture
def page(tmp_path, day):
    mine = {run.pid: "python train.py --wandb-key ***" for run in day.runs if run.mine}
    return write(tmp_path, day, simulated=True, commands=mine)


def quiet(browser, file):
    """Nothing complained, and nothing but the file itself was asked for."""
    assert browser.problems() == []
    assert browser.requests() == [file.as_uri()]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_drawn_in_silence(browser, page, tmp_path, width, dark):
    """No console error, no request, each chart drawn, nothing wider than the screen, the theme followed."""
    browser.open(page, width=width, dark=dark)
    quiet(browser, page)
    ink = browser.run(INK)
    assert len(ink) == 5
    assert all(share > 0.01 for share in ink)
    assert browser.run("document.documentElement.scrollWidth") == width
    assert "SIMULATED" in browser.run(LABELS)
    file = shots(tmp_path / "shots") / f"report-{width}-{'dark' if dark else 'light'}.png"
    browser.picture(file)
    with Image.open(file) as picture:
        ground = picture.convert("L").getpixel((3, 3))
    assert ground < 60 if dark else ground > 220


def barriers(browser):
    """What axe-core finds on the page that is serious or worse."""
    browser.run(AXE.read_text(encoding="utf-8"))
    found = browser.run(
        "axe.run(document, {resultTypes: ['violations']}).then((all) => JSON.stringify(all.violations))"
    )
    return [
        (each["id"], each["nodes"][0]["html"], each["nodes"][0]["failureSummary"])
        for each in json.loads(found)
        if each["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_serious_barrier(browser, page, width, dark):
    """axe-core's rules of WCAG 2.2 A and AA: names, roles, contrast, order; with every table opened."""
    browser.open(page, width=width, dark=dark)
    browser.run('document.querySelectorAll("details").forEach((each) => { each.open = true; })')
    assert barriers(browser) == []


def test_everything_works_from_the_keyboard(browser, page):
    """Tab goes through the page from top to bottom; the range, the slider, a GPU and a column answer keys."""
    browser.open(page)
    order = []
    while not order or (len(order) < 60 and not order[-1].startswith("BODY")):
        browser.press(*TAB)
        order.append(browser.run(FOCUS))
        if order[-1] == "BUTTON 6 h":
            browser.press(*ENTER)
            assert browser.run(FOCUS) == "BUTTON 6 h"
            assert browser.run('document.activeElement.getAttribute("aria-pressed")') == "true"
        if order[-1] == "INPUT Time of the values shown":
            before = browser.run("document.activeElement.value")
            browser.press("ArrowLeft", 37)
            assert browser.run("document.activeElement.value") == str(int(before) - 1)
            spoken = browser.run('document.activeElement.getAttribute("aria-valuetext")')
            assert "GPU 0: " in spoken
            assert " °C" in spoken
        if order[-1] == "BUTTON GPU 1":
            browser.press(*SPACE)
            assert browser.run('document.activeElement.getAttribute("aria-pressed")') == "false"
        if order[-1] == "BUTTON Owner":
            browser.press(*ENTER)
            assert (
                browser.run('document.activeElement.closest("th").getAttribute("aria-sort")') == "ascending"
            )
    expected = [
        *("A Skip to the content", "BUTTON 1 h", "BUTTON 6 h", "BUTTON All", "BUTTON Zoom in"),
        *("INPUT Time of the values shown", "BUTTON GPU 0", "BUTTON GPU 1"),
        *("SUMMARY The numbers as a table", "DIV Alerts", "BUTTON Severity", "DIV Processes", "BUTTON Owner"),
    ]
    places = [order.index(each) for each in expected]
    assert places == sorted(places)
    quiet(browser, page)


def test_a_column_sorts_up_and_down(browser, page):
    """By value, not by letter: memory in MiB comes before GiB; owners by name."""
    browser.open(page)
    column = """(() => {
      const table = document.querySelector("section[aria-labelledby=processes] table");
      const place = [...table.querySelectorAll("th")].findIndex((each) => each.textContent === "%s");
      table.querySelectorAll("th button")[place].click();
      return [...table.querySelectorAll("tbody tr")].map((row) => row.cells[place].innerText);
    })()"""
    up, down = (browser.run(column % "Peak memory") for _ in range(2))
    assert up == list(reversed(down))
    gib = [float(text.split()[0]) / (1024 if "MiB" in text else 1) for text in up]
    assert gib == sorted(gib)
    owners = browser.run(column % "Owner")
    assert owners == sorted(owners)


def test_one_cursor_and_one_zoom(browser, page):
    """The pointer over one chart moves the cursor of all; a drag zooms all, and "All" shows all again."""
    browser.open(page)
    cursors = '[...document.querySelectorAll(".u-cursor-x")].map((each) => each.style.transform)'
    spans = 'document.querySelector(".aside .quiet").textContent'
    whole = browser.run(spans)
    box = browser.run(PLACE % 0)
    browser.mouse("mouseMoved", box[0] + 200, box[1] + 40)
    assert len(set(browser.run(cursors))) == 1
    browser.mouse("mousePressed", box[0] + 200, box[1] + 40, button="left", clickCount=1)
    browser.mouse("mouseMoved", box[0] + 400, box[1] + 40, button="left", buttons=1)
    browser.mouse("mouseReleased", box[0] + 400, box[1] + 40, button="left", clickCount=1)
    zoomed = browser.run(spans)
    assert zoomed != whole
    browser.run('[...document.querySelectorAll("button")].find((each) => each.textContent === "All").click()')
    assert browser.run(spans) == whole
    quiet(browser, page)


def test_the_pointer_over_a_mark_tells_the_alert_and_over_a_bar_the_process(browser, page, day):
    """The reason where the alert began; owner, program and PID where a process ran."""
    browser.open(page, height=1800)
    tips = '[...document.querySelectorAll(".tip:not([hidden])")].map((each) => each.textContent).join("")'
    x, y, width = browser.run(PLACE % 0)
    share = (day.marks[1].began - day.start) / (day.end - day.start)
    browser.mouse("mouseMoved", x + share * width, y + 40)
    assert day.marks[1].text in browser.run(tips)
    x, y, width = browser.run(PLACE % 4)
    browser.mouse("mouseMoved", x + 0.05 * width, y + 14)
    first = min((run for run in day.runs if run.uuid == day.gpus[0].uuid), key=lambda run: run.first)
    assert f"PID {first.pid}" in browser.run(tips)


def test_the_name_of_a_mig_device_is_not_cut(browser, tmp_path, day):
    """It has a line of its own above its bars, and the legend beside it is no wider than its panel."""
    board, other = day.gpus
    part = replace(other, uuid="MIG-41b3f1a9-0000", physical=board.uuid, index=0)
    samples = {board.uuid: day.samples[board.uuid], part.uuid: day.samples[other.uuid]}
    runs = tuple(replace(run, uuid=part.uuid) if run.uuid == other.uuid else run for run in day.runs)
    browser.open(write(tmp_path, replace(day, gpus=(board, part), samples=samples, runs=runs), live=None))
    lanes = "[...document.querySelectorAll('figure')].at(-1).querySelector('canvas')"
    high = browser.run(f"{lanes}.height")
    legend = "document.querySelector('.scroll-x')"
    assert browser.run(f"{legend}.scrollWidth <= {legend}.clientWidth")
    browser.open(write(tmp_path, day))
    assert browser.run(f"{lanes}.height") == high - 16


def test_hostile_names_change_nothing(browser, tmp_path, day):
    """Markup in the names of processes, owners and alerts is text; the page is as quiet as ever."""
    told = histories.renamed(day, HOSTILE)
    told = replace(told, marks=tuple(replace(mark, text=HOSTILE) for mark in told.marks))
    live = histories.live(told, headline=HOSTILE)
    file = write(tmp_path, told, live=live, commands=dict.fromkeys((run.pid for run in told.runs), HOSTILE))
    for width in (390, 1280):
        browser.open(file, width=width)
        quiet(browser, file)
        assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.run("document.scripts.length") == 3
    text = browser.run(LABELS)
    assert "<script>alert(1)</script>" in text
    assert "\u202e" not in text


def test_the_policy_lets_nothing_else_act(browser, page):
    """A script that came into the page by whatever way does not run, and nothing can be loaded."""
    browser.open(page)
    browser.run(
        'const script = document.createElement("script"); script.textContent = "window.broken = 1";'
        'document.body.append(script); const picture = new Image(); picture.src = "http://127.0.0.1:9/x";'
        "document.body.append(picture)"
    )
    assert browser.run("window.broken") is None
    assert any("Content Security Policy" in problem for problem in browser.problems())


def test_the_data_is_saved_as_the_page_has_it(browser, tmp_path, day):
    """A click on the link writes a CSV file: a row a minute and GPU; no field begins a formula."""
    gpus = (replace(day.gpus[0], name="=1+1"), day.gpus[1])
    file = write(tmp_path, replace(day, gpus=gpus), simulated=True)
    browser.open(file)
    browser.keep_downloads(tmp_path)
    browser.run('document.querySelector("a[download]").click()')
    (saved,) = wait_until(lambda: list(tmp_path.glob("*.csv")), "a file")
    assert saved.name == "gpus-box-2026-01-07-SIMULATED.csv"
    with saved.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == sum(map(len, day.samples.values()))
    sample = day.samples[day.gpus[0].uuid][0]
    first = rows[0]
    assert (first["uuid"], first["name"], first["simulated"]) == (day.gpus[0].uuid, "'=1+1", "true")
    assert first["time"] == "2026-01-06T15:28:30.000Z"
    assert first["temperature_celsius_mean"] == str(round(sample.temperature.mean))
    assert first["memory_mib_high"] == str(round(sample.memory.high / 2**20))


def test_a_strip_tells_the_day_of_each_gpu(browser, page, day):
    """The darker, the more; where nothing is known the hatch shows, and words tell what the colours do."""
    browser.open(page)
    strips = browser.run(
        '[...document.querySelectorAll(".heat")].map((each) => [each.style.backgroundImage, each.ariaLabel])'
    )
    assert len(strips) == 3 * len(day.gpus)
    assert all("transparent" in shades for shades, _ in strips)  # the gap of the history
    hot = strips[-1]
    assert "var(--warm1) 100%" in hot[0]  # at its limit at the end
    assert hot[1].startswith("Temperature: GPU 1 between ")


@pytest.mark.parametrize("width", [390, 1280])
def test_the_values_stay_in_sight(browser, page, width):
    """While the charts are scrolled the panel of values is on the screen, and hides less than half of it."""
    browser.open(page, width=width)
    browser.run("document.querySelectorAll('figure')[3].scrollIntoView({block: 'end'})")
    top, bottom, high = browser.run(
        "(() => { const box = document.querySelector('.values').getBoundingClientRect();"
        " return [box.top, box.bottom, innerHeight]; })()"
    )
    assert 0 <= top < bottom < high / 2


def test_a_row_is_a_block_on_a_narrow_screen(browser, page):
    """No table is wider than its panel, and each value has its column's name beside it."""
    browser.open(page, width=390)
    over = "(each) => each.scrollWidth - each.parentNode.clientWidth"
    assert max(browser.run(f"[...document.querySelectorAll('.stacks')].map({over})")) <= 0
    cell = "document.querySelector('section[aria-labelledby=processes] tbody td:nth-child(4)')"
    assert browser.run(f"getComputedStyle({cell}, '::before').content") == '"Peak memory"'


def test_a_fresh_install_has_a_clear_page(browser, tmp_path):
    """Nothing on file: it says so and what to do, without an error and without an empty chart."""
    file = write(tmp_path, History(END - DAY, END))
    browser.open(file)
    quiet(browser, file)
    assert "Nothing recorded yet" in browser.run(LABELS)
    assert browser.run('document.querySelectorAll("canvas").length') == 0


def test_chinese_is_drawn_in_chinese(browser, tmp_path, day):
    """The page's language is declared, and its dates are written in it."""
    i18n.set_language(i18n.CHINESE)
    try:
        file = write(tmp_path, day)
    finally:
        i18n.set_language(i18n.ENGLISH)
    browser.open(file)
    quiet(browser, file)
    assert browser.run("document.documentElement.lang") == "zh-CN"
    assert "月" in browser.run(LABELS)
