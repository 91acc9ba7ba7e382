"""What the page is told."""

from __future__ import annotations

import json
import re

import pytest
from msgspec.structs import replace

from gpuwatch_tray import i18n
from gpuwatch_tray.model import AlertMark, GpuSample, History, Severity, Span
from gpuwatch_tray.report.document import PageContext, html
from gpuwatch_tray.report.page import ASSETS, PROGRAM, page_texts
from gpuwatch_tray.report.payload import (
    MAX_STEPS,
    MOST_RUNS,
    USAGE,
    TimeGrid,
    build_payload,
    make_grid,
    metric_line,
)
from gpuwatch_tray.report.script_json import script_safe_json
from tests.report import histories
from tests.report.histories import DAY, END, HOUR

HOSTILE = "</script><script>alert(1)</script>\"'\u202e\u2028\x1b[31m\udcff" + "x" * 4096


def told(history, **about):
    return build_payload(history, PageContext("box", history.end, **about))


def sample(at, seconds, low, mean, high):
    return GpuSample("GPU-a", at, seconds, seconds, 1, power=Span(low, mean, high, seconds))


def test_a_gap_stays_a_gap():
    """A stretch without a sample is None in every line, and no step beside it is drawn as 0."""
    history = histories.history(1, DAY)
    found = told(history)
    mean = found["series"]["utilisation"][0]["mean"]
    gap = range(int(0.43 * len(mean)), int(0.45 * len(mean)))
    assert all(mean[place] is None for place in gap)
    assert None not in mean[: gap[0] - 30]


def test_a_metric_that_is_not_known_is_a_gap_beside_those_that_are():
    """Power unknown in a sample is None there; the memory of the same sample is drawn."""
    history = histories.history(1, HOUR, gap=False)
    ((uuid, samples),) = history.samples.items()
    history = replace(history, samples={uuid: tuple(replace(each, power=None) for each in samples)})
    found = told(history)["series"]
    assert set(found["power"][0]["mean"]) == {None}
    assert None not in found["memory"][0]["mean"]


@pytest.mark.parametrize("seconds", [HOUR, DAY, 2 * DAY, 7 * DAY, 30 * DAY])
def test_a_grid_has_no_more_steps_than_a_screen_shows(seconds):
    """The steps cover the whole span, begin at whole ones, and are at most so many."""
    found = make_grid(END - seconds - 7, END)
    assert found.count <= MAX_STEPS + 1
    assert found.start <= END - seconds - 7
    assert found.start % found.step == 0
    assert END <= found.end < END + found.step


def test_a_step_keeps_the_lowest_and_the_highest_of_its_samples():
    """Thinned, the mean is weighed by time, and no peak is lost."""
    samples = [sample(0, 60, 1, 2, 3), sample(60, 180, 4, 6, 99)]
    found = metric_line(samples, "power", TimeGrid(0, 240, 1))
    assert (found.low, found.mean, found.high) == ([1], [5.0], [99])


def test_a_ten_minute_value_stands_in_each_of_its_minutes():
    """On a finer grid there is no gap within a sample, and none is filled beyond it."""
    found = metric_line([sample(60, 600, 1, 2, 3)], "power", TimeGrid(0, 60, 13))
    assert found.mean == [None, *[2.0] * 10, None, None]


def test_the_page_begins_where_something_is_on_file():
    """A day of which twenty minutes are on file is a page of those, not an empty one."""
    history = histories.history(1, 20 * 60, gap=False)
    found = told(replace(history, start=END - DAY))
    assert found["end"] - found["start"] <= 22 * 60


def test_thinned_says_so():
    """A month of which minutes were written tells that they were summed up; a day is as it was written."""
    assert told(histories.history(1, 30 * DAY))["thinned"]
    assert not told(histories.history(1, DAY))["thinned"]


def test_nobody_watching_means_no_data_in_every_state():
    """Without a watcher nothing is known of the present: no card is green, and no process is said to run."""
    found = told(histories.history(2))
    assert [gpu["state"]["level"] for gpu in found["gpus"]] == ["no_data", "no_data"]
    assert found["state"]["level"] == "no_data"
    assert all(run["end"] is not None for run in found["runs"])
    assert not found["watched"]


def test_a_gpu_has_the_state_of_its_own_alerts():
    """The worst alert that goes on about it; one that is over, or of another GPU, does not colour it."""
    history = histories.history(3)
    first, second, third = (gpu.uuid for gpu in history.gpus)
    history = replace(
        history,
        marks=(
            AlertMark(1, "temperature", Severity.WARNING, "hot", END - 60.0, None, (first,)),
            AlertMark(2, "temperature_critical", Severity.CRITICAL, "hotter", END - 60.0, None, (first,)),
            AlertMark(3, "temperature", Severity.CRITICAL, "was hot", END - 90.0, END - 30.0, (second,)),
            AlertMark(4, "fan", Severity.WARNING, "stands still", END - 60.0, None, (third,)),
        ),
    )
    live = histories.live(history)
    live["alerts"] = [{"id": 4, "snoozed_until": END + 60.0}]
    gpus = told(history, live=live)["gpus"]
    assert [gpu["state"]["level"] for gpu in gpus] == ["critical", "ok", "snoozed"]
    assert [gpu["state"]["reason"] for gpu in gpus] == ["hotter", "no alert of its own", "stands still"]


def test_an_alert_that_is_not_on_the_disk_colours_its_card():
    """A watcher whose disk is full tells it: the card is not green under a red headline."""
    history = replace(histories.history(2), marks=())
    live = histories.live(history)
    live["alerts"] = [{"id": 7, "severity": "critical", "text": "GPU 1 is at 91 °C", "snoozed_until": None}]
    live["gpus"][1]["alerts"] = [7]
    states = [gpu["state"] for gpu in told(history, live=live)["gpus"]]
    assert [state["level"] for state in states] == ["ok", "critical"]
    assert states[1]["reason"] == "GPU 1 is at 91 °C"


def test_a_gpu_that_cannot_be_read_is_no_data_whatever_was_before():
    """A lost GPU's card tells its problem, and one that the watcher does not list is not seen."""
    history = histories.history(2)
    live = histories.live(history)
    live["gpus"] = [{"uuid": history.gpus[0].uuid, "problem": "GPU is lost"}]
    states = [gpu["state"] for gpu in told(history, live=live)["gpus"]]
    assert [state["level"] for state in states] == ["no_data", "no_data"]
    assert states[0]["reason"] == "GPU is lost"
    assert states[1]["reason"].startswith("not seen since")


@pytest.mark.parametrize(
    ("state", "gaps", "levels"),
    [
        # one GPU cannot be read in full: it alone is not calm
        ("no_data", ["some of it cannot be read", ""], ["no_data", "ok"]),
        # nothing is known, and no GPU is to blame: none is calm
        ("no_data", ["", ""], ["no_data", "no_data"]),
        # an alert that fires stands above the gap, as in the icon; one that is snoozed does not
        ("warning", ["", "fan: lost"], ["ok", "critical"]),
        ("ok", ["", ""], ["ok", "critical"]),
    ],
)
def test_a_card_is_never_calm_over_missing_data(state, gaps, levels):
    """Green needs every value to be known that could be, as with the icon."""
    history = histories.history(2)
    live = histories.live(history, state=state)
    for gpu, gap in zip(live["gpus"], gaps, strict=True):
        gpu["gap"] = gap
    if state == "no_data":
        history = replace(history, marks=())
    states = [gpu["state"] for gpu in told(history, live=live)["gpus"]]
    assert [each["level"] for each in states] == levels
    assert all(each["reason"] for each in states if each["level"] == "no_data")
    if state == "warning":
        live["alerts"] = [{"id": 4, "snoozed_until": END + 60.0}]
        assert told(history, live=live)["gpus"][1]["state"]["level"] == "no_data"


def test_what_is_not_known_of_a_card_is_a_question_mark():
    """An unknown utilisation is no bar at 0."""
    history = histories.history(1)
    live = histories.live(history)
    live["gpus"][0] |= {"utilisation": None, "memory_used": None, "temperature": None, "power": None}
    facts = told(history, live=live)["gpus"][0]["facts"]
    assert [fact[1] for fact in facts] == ["? / 24.0 GiB", "?", "?", "?"]
    assert all(fact[2] is None for fact in facts)


def test_a_command_is_shown_of_what_runs_only():
    """A PID that was another program's before does not get today's command line."""
    history = histories.history(1, gap=False)
    last = replace(history.runs[-1], last=END)
    last = replace(last, first=END - 600.0)
    before = replace(last, key="boot/old", first=END - 9000.0, last=END - 8000.0)
    history = replace(history, runs=(before, last))
    more = {"present": [last.pid], "commands": {last.pid: "python train.py"}}
    found = told(history, live=histories.live(history), **more)
    assert [run["command"] for run in found["runs"]] == ["", "python train.py"]


def test_what_has_ended_since_the_last_sample_does_not_run():
    """Seen a minute ago, but not by the watcher now: it has ended."""
    history = histories.history(1, gap=False)
    found = told(history, live=histories.live(history))
    assert all(run["end"] is not None for run in found["runs"])


def test_unknown_owners_are_named_so():
    """No owner is neither nobody nor oneself."""
    history = histories.history(2)
    found = told(history)
    nobody = {run.pid for run in history.runs if run.user is None}
    assert nobody
    shown = {run["pid"] for run in found["runs"] if found["owners"][run["owner"]] == "unknown owner"}
    assert shown == nobody


def test_runs_beyond_the_most_are_counted():
    """Of very many runs the longest are kept, and the page says how many are left out."""
    history = histories.history(1, HOUR)
    run = history.runs[0]
    many = tuple(
        replace(run, key=f"boot/{pid}", pid=pid, first=END - 3000.0, last=END - 3000.0 + pid % 997)
        for pid in range(MOST_RUNS + 7)
    )
    found = told(replace(history, runs=many))
    assert (len(found["runs"]), found["runs_left_out"]) == (MOST_RUNS, 7)
    assert min(run["end"] - run["start"] for run in found["runs"]) >= 0


def test_hostile_names_are_harmless_and_short():
    """Markup, reading order marks, escapes and bytes that are no UTF-8 stay text, and are cut."""
    history = histories.renamed(histories.history(1), HOSTILE)
    text = html(history, PageContext(HOSTILE, history.end, live=histories.live(history, headline=HOSTILE)))
    text.encode()  # a surrogate would not do
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert text.count("</script>") == 3
    run = told(history)["runs"][0]
    assert len(run["name"]) <= 300


def test_the_data_ends_no_script_element():
    """Every character that HTML could take for its own is an escape, and JSON reads it back."""
    data = script_safe_json({"name": "</script><!--&\u2028é"})
    assert not set(data) & set("<>&\u2028é")
    assert json.loads(data) == {"name": "</script><!--&\u2028é"}


def test_nothing_on_file_is_a_page_too():
    """A fresh install: no GPU, no step, a state that says what to do."""
    found = told(History(END - DAY, END))
    assert (found["gpus"], found["count"]) == ([], 0)
    assert "nothing is watching" in found["state"]["headline"]


def test_the_limit_line_is_the_rules():
    """TEMP_LIMIT_C as set, as each GPU's own limits give it, and none where the rule is off."""
    history = histories.history(2)
    metric = {each["key"]: each for each in told(history)["metrics"]}["temperature"]
    assert [limit["value"] for limit in metric["limits"]] == [85]
    metric = {each["key"]: each for each in told(history, warn_at=70)["metrics"]}["temperature"]
    assert metric["limits"] == [{"value": 70, "text": "limit 70 °C"}]
    metric = {each["key"]: each for each in told(history, warn_at=None)["metrics"]}["temperature"]
    assert metric["limits"] == []


def test_who_used_what_names_the_unknown_and_nobody():
    """Their rows are not a user's, whatever a user is called; the cost is there where a price is."""
    history = histories.history(1)
    found = told(history, usage=histories.usage())["usage"]
    assert [row[0] for row in found["rows"]] == ["ada", "grace", "unknown owner", "nobody"]
    assert found["measures"][-1] == "cost"
    assert found["total"][0] == 38.75
    free = told(history, usage=histories.usage(("user", HOSTILE, 1.0), price=None))["usage"]
    assert "cost" not in free["measures"]
    assert "\u202e" not in free["rows"][0][0]


def test_the_program_has_each_word_that_it_shows_and_no_other():
    """A word that the page's program asks for is handed to it; none is translated for nothing."""
    program = "".join((ASSETS / f"{name}.js").read_text(encoding="utf-8") for name in PROGRAM)
    asked = set(re.findall(r"\bw\.(\w+)", program))
    measures = {*USAGE, "cost"}  # by their names in the data
    assert asked | measures == set(page_texts())


def test_the_page_speaks_the_language():
    """The language is handed to the page, for its numbers and dates."""
    i18n.set_language(i18n.CHINESE)
    try:
        assert told(histories.history(1))["lang"] == "zh-CN"
    finally:
        i18n.set_language(i18n.ENGLISH)


def test_a_sample_of_a_peak_is_not_lost_between_steps():
    """A single hot minute in a month shows as the highest of its step."""
    history = histories.history(1, 30 * DAY, gap=False)
    ((uuid, samples),) = history.samples.items()
    hot = replace(samples[-9], temperature=Span(40, 60, 119, 60))
    assert isinstance(hot, GpuSample)
    history = replace(history, samples={uuid: (*samples[:-9], hot, *samples[-8:])})
    assert max(each or 0 for each in told(history)["series"]["temperature"][0]["high"]) == 119
