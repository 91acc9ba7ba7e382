"""The lab, end to end: real Prometheus and Alertmanager, the installed tray, its menu on a real panel."""

from __future__ import annotations

import json

import pytest

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from tests.driver.scenario import FakeGpu, Scenario
from tests.e2e import rig
from tests.lab.rig import Rig
from tests.support.fleet import FleetHost
from tests.support.timing import wait_until

pytestmark = [pytest.mark.desktop, pytest.mark.driver, pytest.mark.configured(POLL_SEC=0.5, greeted=True)]

NO_DATA, CRITICAL = (drawing.COLOURS[level] for level in (Level.NO_DATA, Level.CRITICAL))


def unfold(desk, rows, start, before):
    """Press keys up to the row whose label starts so, and the one that opens what is below it."""
    reachable = [row for row in rows if row.enabled and not row.separator]
    place = next(place for place, row in enumerate(reachable) if row.label.startswith(start))
    desk.key(*["Down"] * (place + before), "Right")
    rig.settle()
    return reachable[place].id


def row_of(rows, number):
    return next(row for top in rows for row in top.walk() if row.id == number)


def test_the_job_of_a_lab(installed, desk, start, tmp_path):
    """
    Red by what the lab has; a host tells its GPUs when its list opens; one click silences for everyone.

    Taken out of the settings as it runs, the lab leaves the menu, and its popups the screen.
    """
    hosts = [FleetHost("h1", users={0: ["ada"], 1: ["bob"]}), FleetHost("h2"), FleetHost("h3", lost={3})]
    installed.play(Scenario(gpus=[FakeGpu.numbered(0)]))
    with Rig(*hosts) as lab:
        keys = {
            "LAB_PROMETHEUS": lab.prometheus.url,
            "LAB_ALERTMANAGER": lab.manager.url,
            "LAB_ME": "ada",
            "LAB_ALERTS": "all",
            "LAB_SILENCE": "on",
            "LAB_POLL_SEC": 5,
        }
        installed.write("lab.env", "".join(f"{key}={value}\n" for key, value in keys.items()))
        start()
        lab.settled()
        wait_until(lambda: "Check now" in desk.labels(), "the menu")
        desk.click("Check now")
        position = desk.icon_position(CRITICAL)
        labels = desk.labels()
        assert any(label.startswith("Yours: 1 GPU") for label in labels), labels

        # the list of a host is opened by keys, and the panel says so
        closed = desk.windows()
        desk.right_click(position)
        wait_until(lambda: desk.windows() - closed, "the menu's window")
        rig.settle()
        free = unfold(desk, desk.menu(), "Free: ", 1)
        number = unfold(desk, row_of(desk.menu(), free).children, "h1", 0)
        below = lambda: [row.label for row in row_of(desk.menu(), number).children]  # noqa: E731
        wait_until(lambda: any(label.startswith("as of ") for label in below()), "the host's answer")
        assert any(label.startswith("GPU 0 · ") and "97 %" in label for label in below())
        desk.screenshot(rig.shots(tmp_path / "shots") / "lab-menu-3.png")
        desk.close_menu()

        desk.click("Silence it for everyone now")
        (silence,) = wait_until(
            lambda: json.loads(lab.manager.get("/api/v2/silences")), "the silence in the Alertmanager"
        )
        assert silence["createdBy"].startswith("ada@")
        assert len(silence["matchers"]) >= 2
        wait_until(lambda: any("silenced by ada@" in label for label in desk.labels()), "it in the menu")

        # an alert of our own, which nobody silenced, has a popup that stays
        lost = lambda: {one.id for one in desk.notifications() if "h3: 3 of 4 GPUs answer" in one.body}  # noqa: E731
        (popup,) = wait_until(lost, "the popup about the GPU that h3 lacks", timeout=60)

        # nothing is known any more: grey, whatever was green or red
        lab.prometheus.stop()
        desk.click("Check now")
        desk.icon_position(NO_DATA, timeout=60)
        labels = desk.labels()
        assert not any(label.startswith("Free: ") for label in labels), labels

        assert popup not in desk.closed_notifications()
        installed.write("lab.env", "")
        wait_until(lambda: popup in desk.closed_notifications(), "the lab's popup to leave the screen")
        wait_until(lambda: not any(label.startswith("Lab: ") for label in desk.labels()), "the lab to leave")
