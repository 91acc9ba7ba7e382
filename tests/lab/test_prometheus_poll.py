"""One poll of one Prometheus, whatever its clock does."""

from __future__ import annotations

import json
import time

import pytest

from gpuwatch_tray.lab.exporters import GPUWATCH
from gpuwatch_tray.lab.host_states import HostMemory, PollTime, judge_hosts
from gpuwatch_tray.lab.http import LabServer
from gpuwatch_tray.lab.lab_error import LabError, LabFailure
from gpuwatch_tray.lab.prometheus_poll import PrometheusClient, ServerClock
from gpuwatch_tray.model import HostState
from gpuwatch_tray.settings import LabSettings, Secret
from tests.lab.scripted import ScriptedServer, reply, vector
from tests.support.fakes import Clock

ALLOWED = 45.0


def test_a_clock_that_is_set_back_answers_old_data_until_it_is_there_again():
    """It is over once it has passed what it may have stored before; steps that are allowed are none."""
    clock = ServerClock()
    assert [clock.answers_old_for(10_000 + s, s, ALLOWED) for s in (0.0, 15.0, 30.0)] == [0.0] * 3
    assert clock.answers_old_for(10_005.0, 45.0, ALLOWED) == 0.0  # 40 s back
    left = [clock.answers_old_for(9_000.0 + s, s, ALLOWED) for s in (60.0, 75.0, 900.0)]
    before = 10_005.0 + 15.0  # as its clock would be now
    assert left == [before + ALLOWED - 9_060.0, before + ALLOWED - 9_075.0, before + ALLOWED - 9_900.0]
    assert clock.answers_old_for(9_000.0 + 1_065.0, 1_065.0, ALLOWED) == 0.0


@pytest.mark.parametrize("jump", [0.0, 100_000.0])
def test_a_clock_that_goes_on_or_is_set_forward_is_believed(jump):
    """Also after hours in which the desk slept and its steady clock stood still."""
    clock = ServerClock()
    assert [clock.answers_old_for(10_000.0 + s + jump * (s > 60), s, ALLOWED) for s in range(0, 600, 15)] == [
        0.0
    ] * 40


def test_nothing_is_known_of_a_prometheus_whose_clock_was_set_back():
    """All that it answers looks as new as before: it is no answer, and the next replica is asked."""
    steady, at = Clock(0.0), [10_000.0]
    with ScriptedServer(lambda _head: [vector(({"instance": "h1"}, str(at[0])), at=at[0])]) as server:
        client = PrometheusClient(
            LabServer(server.url, LabSettings(), lambda: Secret("")), LabSettings(), steady
        )
        client._exporters, client._interval, client._probed = (), 15.0, time.monotonic()
        assert client.poll(time.monotonic() + 30).answers.at == 10_000.0
        at[0] = 6_400.0
        steady.advance(15)
        with pytest.raises(LabError, match="was set back: what it answers is old, for 61 min") as caught:
            client.poll(time.monotonic() + 30)
        assert caught.value.kind is LabFailure.BUSY
        client.server.close()


def whole(rows, warnings=()):
    answer = json.loads(vector(*rows, at=time.time()).partition(b"\r\n\r\n")[2])
    return reply(json.dumps(answer | {"warnings": list(warnings)}))


@pytest.mark.parametrize("warned", [True, False])
def test_a_host_that_is_not_in_an_answer_with_a_warning_is_not_gone(warned):
    """One store of several did not answer: its hosts are unknown, and so is what fires; it is noted."""
    lost = []

    def answer(head):
        now = str(time.time())
        rows = [({"instance": name}, now) for name in ("h1", "h2") if name not in lost]
        return [whole(rows, ["no store for h2"] if lost and warned else [])]

    with ScriptedServer(answer) as server:
        client = PrometheusClient(LabServer(server.url, LabSettings(), lambda: Secret("")), LabSettings())
        client._exporters, client._interval, client._probed = (GPUWATCH,), 15.0, time.monotonic()
        memory, views, polls = HostMemory(), {}, []
        for _ in range(2):
            polls.append(client.poll(time.monotonic() + 30))
            now = PollTime(time.time(), time.monotonic())
            views, memory = judge_hosts(polls[-1].answers, memory, now, interval=15.0)
            lost.append("h2")
        client.server.close()
    assert views["h2"].state is (HostState.UNKNOWN if warned else HostState.GONE)
    assert (polls[1].firing is None) is warned
    assert polls[1].notes == (
        (f"the answer of localhost:{server.port} is not whole: no store for h2",) if warned else ()
    )


def test_a_poll_is_good_without_what_was_told_before():
    """It is a question over hours, asked once: a server that is too slow for it answers all the same."""

    def answer(head):
        if "6h" in head:
            return [reply('{"error": "query timed out"}', "503 Service Unavailable")]
        return [vector(({"instance": "h1"}, str(time.time())), at=time.time())]

    with ScriptedServer(answer) as server:
        client = PrometheusClient(LabServer(server.url, LabSettings(), lambda: Secret("")), LabSettings())
        client._exporters, client._interval, client._probed = (GPUWATCH,), 15.0, time.monotonic()
        poll = client.poll(time.monotonic() + 30, first=True)
        assert (poll.answers.scraped.keys(), poll.answers.lacking) == ({"h1"}, {})
        assert "what was told before could not be asked" in poll.notes[0]
        assert client.poll(time.monotonic() + 30).notes == ()
        client.server.close()
