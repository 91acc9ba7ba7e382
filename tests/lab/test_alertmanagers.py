"""Several Alertmanagers, of which some do not answer: what is lost with them is no end of an alert."""

from __future__ import annotations

import time
from collections import deque
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from gpuwatch_tray.lab.alertmanager import Alertmanagers
from gpuwatch_tray.lab.http import HttpAnswer
from gpuwatch_tray.lab.lab_error import LabError, LabFailure
from gpuwatch_tray.lab.prometheus import PrometheusLab
from gpuwatch_tray.lab.silences_made import SilencesMade
from gpuwatch_tray.model import FeedState
from gpuwatch_tray.model.units import HOUR
from gpuwatch_tray.settings import LabSettings
from tests.lab.lost_world import LostWorld, WorldHost, unreachable
from tests.lab.scripted import GivenSecret

BEGAN = "2026-01-01T00:00:00Z"
BY = {"author": "ada@desk", "comment": "a test"}


def entry(name, host="h1", silenced=()):
    labels = {"alertname": name} | ({"instance": f"{host}:9836"} if host else {})
    status = {"state": "active", "silencedBy": list(silenced), "inhibitedBy": []}
    return {"fingerprint": name.lower(), "labels": labels, "startsAt": BEGAN, "status": status}


class Server:
    """An Alertmanager by its answers; one that is an error is raised."""

    name = address = "test"

    def __init__(self, alerts, silences=()):
        self.answers = {"/api/v2/alerts": alerts, "/api/v2/silences": silences}

    def get(self, path, _seconds):
        answer = self.answers[path]
        if isinstance(answer, LabError):
            raise answer
        return HttpAnswer(list(answer), 0, None)

    def post(self, _path, _seconds, _value):
        return HttpAnswer({"silenceID": "made-1"}, 0, None)

    def close(self):
        pass


@pytest.fixture
def made(tmp_path):
    return SilencesMade(tmp_path / "made.json")


def read(servers, made):
    return Alertmanagers(servers, made).read(time.monotonic() + 10)


def test_what_may_be_silenced_is_not_told_without_the_silences(made):
    """Where they cannot be read, an alert that is silenced for everyone would be told as if it were not."""
    silenced = [entry("Lost", silenced=["s1"])]
    found = read([Server(silenced, LabError(LabFailure.BUSY, "busy"))], made)
    assert (found.entries, found.answered) == ((), False)


def test_one_that_does_not_answer_ends_no_alert(made):
    """It may have alerts that the other never got, as from another Prometheus."""
    world = LostWorld({"h1": WorldHost("h1")}, time.time())
    world.advance(300.0)
    settings = LabSettings(prometheus=("http://prometheus.test",), alertmanager=("a", "b"), me="ada")
    source = PrometheusLab(settings, GivenSecret(), made, clock=lambda: world.now)
    source._clients = deque([SimpleNamespace(poll=world.poll, server=Server(()))])
    one, other = Server([entry("Foreign")]), Server([entry("Watchdog", "")])
    source._alertmanagers = Alertmanagers([one, other], made)
    first = source.read()
    assert first.feed is FeedState.FED
    (foreign,) = (alert for alert in first.alerts if alert.name == "Foreign")
    assert replace(first, alerts=()).tells_end_of(foreign)
    one.answers["/api/v2/alerts"] = unreachable()
    lost = source.read()
    assert "Foreign" not in [alert.name for alert in lost.alerts]
    assert (lost.feed, lost.feed_problem) == (FeedState.UNKNOWN, "nobody answers")
    assert not lost.tells_end_of(foreign)


def test_a_lab_with_more_alerts_than_are_read_ends_none(made):
    """Those beyond are not there, and not over."""
    many = [entry(f"Alert{number}") for number in range(2001)]
    found = read([Server(many)], made)
    assert len(found.entries) == 2000
    assert "more than 2000" in found.failures[0].text
    assert found.answered


def test_a_silence_that_cannot_be_noted_is_named(tmp_path):
    """It stands, and cannot be ended from here: the person is told where it can."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    managers = Alertmanagers([Server([entry("Lost")])], SilencesMade(blocked / "made.json"))
    with pytest.raises(LabError, match="cannot be noted here") as caught:
        managers.silence("lost", HOUR, now=time.time(), end=time.monotonic() + 10, **BY)
    assert "Alertmanager" in caught.value.mend
