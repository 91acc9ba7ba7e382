"""The lab on the details page: a row for each host, from what the running program knows."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from gpuwatch_tray.app.lab_json import build_lab
from gpuwatch_tray.model import UNKNOWN, HostState, HostView, Level, Problem, Severity
from gpuwatch_tray.report.document import Feed, PageContext, html
from gpuwatch_tray.report.lab_page import MOST_ALERTS, lab_data
from gpuwatch_tray.report.script_json import script_safe_json
from tests.e2e.rig import shots
from tests.report import histories
from tests.report.test_in_the_browser import barriers, quiet
from tests.report.test_payload import HOSTILE
from tests.support.lab_status import away, fleet, lab_alert, lab_status, lab_view, remote, well
from tests.support.timing import wait_until
from tests.support.tray_status import NOW

ROWS = 'document.querySelectorAll(".lab tbody tr").length'
FIRST = 'document.querySelector(".lab tbody tr").innerText'
LAB = 'document.querySelector(".lab").innerText'


def data(*hosts, **more):
    return lab_data(build_lab(lab_status(*hosts, **more)))


def test_a_row_says_what_is_known_of_a_host_and_no_more():
    """Counts of one that is well; of one that is not none, but why and since when."""
    first, second = data(well("a", free=2, mine=3, clock=100.0), away("b"))["hosts"]
    assert (first["free"], first["gpus"], first["mine"], first["heat"]) == (2, 8, 3, 60)
    assert first["ran"] == 5 * 3600 + 720 + 100  # the start is by the host's clock
    assert (second["state"], second["word"], second["reason"]) == (
        "down",
        "does not answer",
        "connection refused",
    )
    assert second["since"] == NOW - 720
    assert [second[key] for key in ("free", "looks", "gpus", "mine", "ran", "heat")] == [None] * 6


def test_a_lab_of_which_nothing_is_known_is_never_ok():
    """A view with a problem, and the time before the first reading."""
    broken = lab_data(
        build_lab(lab_status(view=replace(lab_view(), problem=Problem("503")), level=Level.NO_DATA))
    )
    assert broken["level"] == "no_data"


def test_the_sums_are_those_of_the_menu():
    """Whatever alert is the headline; what is not known is counted beside each, and is in none."""
    told = data(well("a", free=2, mine=3), well("b", free=UNKNOWN, mine=UNKNOWN), away("c"))["sums"]
    assert told == [
        "Yours: 3 GPUs · unknown on 2 hosts",
        "Free: 2 of 8 GPUs · unknown on 2 hosts",
        "Not answering: 1 host",
    ]
    assert data(away("a"), away("b"))["sums"][:2] == ["Yours: not known", "Free: not known"]


def test_a_hosts_name_is_not_repeated_in_its_row():
    """What we and the Alertmanager say of it is one line where it is the same."""
    lab = lab_status(
        view=lab_view(well("a"), alerts=(remote(host="a", text="a: lost"),)),
        alerts=[lab_alert(remote(host="a"), "a: lost")],
    )
    (row,) = lab_data(build_lab(lab))["hosts"]
    assert [alert["text"] for alert in row["alerts"]] == ["lost"]


def test_the_alerts_of_a_host_stand_in_its_row_whoever_tells_them():
    """Ours, the Alertmanager's, and what its own rules have found; each text once, and some are counted."""
    many = tuple(remote(f"f{n}", "a", text=f"t{n}", severity=Severity.WARNING) for n in range(9))
    lab = lab_status(
        view=lab_view(well("a"), well("b"), alerts=many), alerts=[lab_alert(remote(host="a"), "t0")]
    )
    first, second = lab_data(build_lab(lab))["hosts"]
    assert [alert["text"] for alert in first["alerts"]] == ["t0", "t0", "t1", "t2", "t3"]
    assert [alert["level"] for alert in first["alerts"][:2]] == ["critical", "warning"]
    assert first["more"] == 10 - MOST_ALERTS
    assert second["alerts"] == []


def page(folder, lab, *, end=None, feed=None, links=()):
    history = histories.history(1, 20 * 60, **({} if end is None else {"end": end}))
    file = folder / "page.html"
    about = PageContext(
        "box", history.end, live=histories.live(history), feed=feed, lab=build_lab(lab),
        present=histories.present(history), links=links,
    )  # fmt: skip
    file.write_text(html(history, about), encoding="utf-8")
    return file


@pytest.mark.desktop
@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)], ids=["phone-dark", "wide-light"])
def test_five_hundred_hosts_can_be_sorted_and_searched(browser, tmp_path, width, dark):
    """Without a barrier, an error or a request, on a phone and a wide screen, dark and light."""
    file = page(tmp_path, lab_status(*fleet(500), headline="1,200 of 3,960 GPUs free", alerts=[lab_alert()]))
    browser.open(file, width=width, dark=dark)
    quiet(browser, file)
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.run(ROWS) == 50
    assert barriers(browser) == []
    browser.picture(shots(tmp_path / "shots") / f"lab-{width}-{'dark' if dark else 'light'}.png")
    browser.run('document.querySelectorAll(".lab .sort")[5].click()')
    browser.run('document.querySelectorAll(".lab .sort")[5].click()')  # one's own, most first
    assert browser.run(FIRST).split()[0] in {"h0007", "h0008"}
    browser.run(
        """(() => {
          const box = document.querySelector(".lab input");
          box.value = "not ANSWER";
          box.dispatchEvent(new Event("input"));
        })()"""
    )
    assert browser.run(ROWS) == 5
    assert "connection refused" in browser.run(FIRST)


@pytest.mark.desktop
def test_the_pages_of_the_lab_open_at_the_configured_addresses_alone(browser, tmp_path):
    """Neither an alert nor an address that is no web page makes a link."""
    links = (("Prometheus", "https://p.example/prom"), ("Grafana", "javascript:alert(1)"))
    alerts = (remote(text="see https://evil.example"),)
    file = page(tmp_path, lab_status(view=lab_view(*fleet(3), alerts=alerts)), links=links)
    browser.open(file)
    quiet(browser, file)
    found = browser.run(
        '[...document.querySelectorAll(".lab a")].map((each) => [each.textContent, each.href, each.rel])'
    )
    assert found == [["Open Prometheus", "https://p.example/prom", "noreferrer"]]


@pytest.mark.desktop
def test_hostile_hosts_stay_text(browser, tmp_path):
    """A name, a reason and an alert that are markup and script run nothing and hide nothing."""
    host = HostView(HOSTILE, HostState.DOWN, NOW, reason=HOSTILE)
    alerts = (remote("f1", HOSTILE, text=HOSTILE),)
    file = page(tmp_path, lab_status(view=lab_view(host, alerts=alerts), alerts=[lab_alert(text=HOSTILE)]))
    browser.open(file)
    quiet(browser, file)
    assert browser.run(ROWS) == 1
    assert "alert(1)" in browser.run(LAB)


@pytest.mark.desktop
def test_the_lab_follows_the_running_program_and_is_lost_with_it(browser, tmp_path):
    """What the data file tells is shown; once it has ended no host looks free, or well, any more."""
    made = int(browser.run("Date.now() / 1000"))
    lab = lab_status(well("a", free=2), well("b"))
    file = page(tmp_path, lab, end=made - made % 60, feed=Feed("page.live.js", "MadeUpNonce"))

    def write(**news):
        news |= {"written": browser.run("Date.now() / 1000")}
        (tmp_path / "part").write_text(f"gpuwatchLive({script_safe_json(news)});")
        (tmp_path / "part").replace(tmp_path / "page.live.js")

    def tell(lab_news):
        write(
            at=made, until=made + 3600, poll=1, state={"level": "ok", "word": "ok", "headline": ""}, gpus=[],
            minutes=[], alerts=[], processes=[], pids=[], lab=lab_news,
        )  # fmt: skip

    tell(data(well("a", free=2), well("b")))
    browser.open(file)
    assert "2 (up to 80.0 GiB)" in browser.run(LAB)
    tell(data(well("a", free=5), away("b"), headline="of 1 host it is not known"))
    wait_until(lambda: "5 (up to 80.0 GiB)" in browser.run(LAB), 30)
    assert "does not answer" in browser.run(LAB)
    write(ended=made + 5)
    wait_until(lambda: "5 (up to 80.0 GiB)" not in browser.run(LAB), 30)
    assert browser.run('document.querySelectorAll(".lab .shape.ok").length') == 0
    assert "The lab at" in browser.run(LAB)


def test_the_data_is_plain_json():
    """Whatever is missing; the browser reads it as it is."""
    assert json.loads(json.dumps(data(well("a", free=UNKNOWN), *fleet(3))))


@pytest.mark.desktop
def test_a_desk_without_gpus_has_the_lab_on_its_page(browser, tmp_path):
    """Nothing is on file there, and never will be: the lab is what the page is for."""
    history = replace(
        histories.history(1, 20 * 60), gpus=(), samples={}, runs=(), marks=(), users=(), processes=()
    )
    about = PageContext("desk", history.end, lab=build_lab(lab_status(well("a", free=2))))
    file = tmp_path / "page.html"
    file.write_text(html(history, about), encoding="utf-8")
    browser.open(file)
    quiet(browser, file)
    assert "2 (up to 80.0 GiB)" in browser.run(LAB)
