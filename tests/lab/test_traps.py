"""What turns a naive tray green, played on the real programs."""

from __future__ import annotations

import json
import time

import pytest

from gpuwatch_tray.lab.http import LabServer
from gpuwatch_tray.model import FeedState, HostState, Missing, RoomWanted
from gpuwatch_tray.model.units import GIB
from tests.lab.rig import Rig, hosts, read_until, states
from tests.lab.scripted import DrippingServer, reply, vector
from tests.support.prometheus import Alertmanager, Prometheus
from tests.support.timing import wait_until


def alert_names(view):
    return [(alert.name, alert.host) for alert in view.alerts]


def test_a_lab_that_is_well_is_known(rig):
    """Hosts, GPUs, one's own, free ones and the alert are told as they are, a token in its text is not."""
    view = rig.settled()
    assert (view.problem, view.feed, view.notes) == (None, FeedState.FED, ())
    assert set(states(view).values()) == {"ok"}
    found = hosts(view)
    assert [(found[n].gpus, found[n].expected, found[n].free, found[n].mine) for n in ("h1", "h3")] == [
        (4, 4, 2, 2),
        (4, 4, 4, 0),
    ]
    assert (found["h2"].gpus, found["h2"].expected, found["h2"].free) == (3, 4, 3)
    assert isinstance(found["h2"].mine, Missing)  # a run on the lost GPU is not told
    assert abs(found["h1"].oldest_start - rig.fleet["h1"].started) < 1
    assert alert_names(view) == [("GpuLost", "h2")]
    assert "hunter2secret" not in repr(view)
    # The link that comes with an alert names the server by its own idea of its name: it is not taken over.
    (there,) = [one for one in json.loads(rig.manager.get("/api/v2/alerts")) if one["labels"].get("instance")]
    assert there["generatorURL"].startswith("http://")
    assert "http" not in repr(view)
    assert "a GPU of h2:9836 is lost" in view.alerts[0].text


def test_a_hung_exporter_resolves_alerts_that_are_not_over(rig):
    """Prometheus ends the alert of a host that hangs, and is slow when it is back: neither is its end."""
    view = rig.settled()
    lost = view.alerts[0]
    lab = rig.desk(speed=60)  # as the rules are evaluated each second here, and not once a minute
    rig.fleet["h2"].hangs = True
    view = read_until(lab, lambda view: not view.alerts, "the Alertmanager has no alert of a lost GPU")
    assert states(view)["h2"] == "down"
    assert isinstance(hosts(view)["h2"].gpus, Missing)
    assert view.feed is FeedState.FED
    assert not view.tells_end_of(lost)
    rig.fleet["h2"].hangs = False
    back = read_until(lab, lambda view: states(view)["h2"] == "ok", "h2 is back")
    while not back.alerts:  # until the rules look at it, and for as long as the alert is pending again
        assert not back.tells_end_of(lost), back
        back = lab.read()
    rig.fleet["h2"].lost.clear()
    view = read_until(lab, lambda view: not view.alerts, "the alert is over")
    assert read_until(lab, lambda view: view.tells_end_of(lost), "which is told")
    rig.fleet["h2"].lost.add(3)


def test_what_hosts_can_do_besides_is_told_apart(rig):
    """Blind, closed, behind a password, another exporter, a clock that is off: each by its state or note."""
    lab = rig.desk()
    lab.read()
    fleet = rig.fleet
    fleet["h3"].blind, fleet["h4"].down, fleet["h5"].password = True, True, "x:y"
    fleet["h6"].other, fleet["h7"].skew = "node_load1 1\n", -400.0
    expected = {"h3": "blind", "h4": "down", "h5": "down", "h6": "unknown", "h7": "ok"}
    view = read_until(lab, lambda view: expected.items() <= states(view).items(), "each state is told")
    for host in view.hosts:
        assert isinstance(host.free, Missing) is (host.state is not HostState.OK)
        assert bool(host.reason) is (host.state is not HostState.OK)
    view = read_until(lab, lambda view: view.notes, "the clock is told of")
    assert view.notes == ("the clock of 1 host is off: h7",)
    for name in expected:
        host = fleet[name]
        host.blind = host.down = False
        host.password, host.other, host.skew = "", "", 0.0
    read_until(lab, lambda view: set(states(view).values()) == {"ok"}, "all are back")


def test_a_host_with_another_exporter_is_read_as_far_as_that_goes(rig, monkeypatch):
    """Its GPUs and heat are known, free and one's own are not, and what it lacks is noted."""
    monkeypatch.setattr("gpuwatch_tray.lab.prometheus_poll.PROBED_AGAIN", 0.0)
    before = rig.desk()
    before.read()
    rig.fleet["h6"].other = "".join(
        f'{name}{{gpu="{gpu}",UUID="GPU-{gpu}"}} {value}\n'
        for gpu in (0, 1)
        for name, value in (
            ("DCGM_FI_DEV_GPU_UTIL", 0),
            ("DCGM_FI_DEV_FB_USED", 4),
            ("DCGM_FI_DEV_FB_FREE", 81000),
            ("DCGM_FI_DEV_GPU_TEMP", 41),
        )
    )
    wait_until(lambda: rig.prometheus.ask("DCGM_FI_DEV_GPU_UTIL"), "Prometheus has its metrics")
    lab = rig.desk()
    view = lab.read()
    host = hosts(view)["h6"]
    assert "gives no details" in str(lab.detail("h6").problem)
    assert (host.state, host.gpus, host.hottest) == (HostState.OK, 2, 41)
    assert {type(value) for value in (host.free, host.looks_free, host.mine, host.expected)} == {Missing}
    assert any(note.startswith("dcgm-exporter does not say which processes run") for note in view.notes)
    assert (hosts(view)["h1"].mine, hosts(view)["h1"].gpus) == (2, 4)
    # Who has asked before hears of it too, and not an hour later.
    read_until(before, lambda view: hosts(view)["h6"].gpus == 2, "the other exporter is known")
    looking = hosts(rig.desk(looks_free=True).read())
    assert looking["h6"].looks_free == 0  # idle, but not seen for ten minutes yet
    assert isinstance(looking["h6"].free, Missing)
    rig.fleet["h6"].other = ""


def test_hosts_that_swap_addresses_swap_what_is_told(rig):
    """After a change of leases the runs are where they are now, with their own starts."""
    lab = rig.desk()
    assert (hosts(lab.read())["h1"].mine, hosts(lab.read())["h3"].mine) == (2, 0)
    rig.fleet.swap("h1", "h3")

    def there(view):
        return [(hosts(view)[name].mine, hosts(view)[name].free) for name in ("h3", "h1")]

    read_until(lab, lambda view: there(view) == [(2, 2), (0, 4)], "the runs are at the other address")
    assert [gpu.uuid for gpu in lab.detail("h3").gpus][:1] == ["GPU-h1-0"]
    rig.fleet.swap("h1", "h3")
    read_until(lab, lambda view: there(view) == [(0, 4), (2, 2)], "they are back")


def test_an_alertmanager_that_nobody_feeds_is_told_after_two_polls(rig):
    """It answers 200 and an empty list while Prometheus fires; no alert ends by that."""
    lost = rig.settled().alerts[0]
    with Alertmanager() as idle:
        lab = rig.desk(alertmanager=(idle.url,))
        first, second = lab.read(), lab.read()
        assert (first.feed, first.alerts) == (FeedState.UNKNOWN, ())
        assert second.feed is FeedState.UNFED
        assert "missing there" in second.feed_problem
        assert not first.tells_end_of(lost)
        assert not second.tells_end_of(lost)
        # Beside one that is fed it does no harm: what either has counts.
        both = rig.desk(alertmanager=(idle.url, rig.manager.url)).read()
        assert (both.feed, alert_names(both)) == (FeedState.FED, [("GpuLost", "h2")])
    gone = lab.read()
    assert (gone.feed, gone.alerts) == (FeedState.UNREACHABLE, ())
    assert "cannot be reached" in gone.feed_problem
    assert not gone.tells_end_of(lost)


def test_detail_is_the_snapshot_of_the_host(rig):
    """GPU by GPU, with the processes of all users, and kept for a while so that a menu costs one question."""
    lab = rig.desk()
    lab.read()
    detail = lab.detail("h1")
    assert [gpu.index for gpu in detail.gpus] == [0, 1, 2, 3]
    assert [(p.gpu, p.user, p.mine) for p in detail.processes] == [
        (0, "ada", True),
        (1, "ada", True),
        (1, "bob", False),
    ]
    assert detail.processes[0].elapsed == pytest.approx(time.time() - rig.fleet["h1"].started, abs=5)
    assert lab.detail("h1") is detail
    lost = lab.detail("h2")
    assert [gpu.problem for gpu in lost.gpus] == [None, None, None, "the host cannot read it"]
    assert "no such host" in str(lab.detail("h99").problem)
    # As a command asks, which has read nothing before.
    assert [gpu.index for gpu in rig.desk().detail("h1").gpus] == [0, 1, 2, 3]
    nowhere = rig.desk(prometheus=("http://127.0.0.1:9",), alertmanager=())
    assert "cannot be reached" in str(nowhere.detail("h1").problem)


def test_free_gpus_with_memory_are_counted_one_by_one(rig, monkeypatch):
    """Where that is waited for, in one question and few rows; of hosts that are not read nothing is told."""
    asked = []
    get = LabServer.get
    monkeypatch.setattr(LabServer, "get", lambda *args: (asked.append(args[-1]), get(*args))[1])
    lab, fleet = rig.desk(), rig.fleet
    fleet["h1"].held, fleet["h3"].held = {2: 60 * GIB}, {0: 60 * GIB, 1: 60 * GIB, 2: 60 * GIB}
    wanted = [RoomWanted(40 * GIB, 1)]

    def roomy(view):
        return {host.name: host.roomy[0][1] for host in view.hosts if host.roomy and host.roomy[0][1]}

    expected = {"h1": 1, "h2": 3, "h3": 1, "h4": 4, "h5": 4, "h6": 4, "h7": 4, "h8": 4}
    wait_until(lambda: roomy(lab.read(wanted)) == expected, "the memory that is held is known", pause=0.2)
    three = lab.read([RoomWanted(40 * GIB, 3)])
    assert roomy(three) == {name: count for name, count in expected.items() if count >= 3}
    asked.clear()
    light = lab.read()
    count = len(asked)
    assert {host.roomy for host in light.hosts} == {()}
    lab.read(wanted)
    assert len(asked) == 2 * count + 1
    assert sum("memory_total" in str(question) for question in asked) == 1
    fleet["h4"].hangs, fleet["h5"].blind, fleet["h6"].down = True, True, True
    read_until(
        lab, lambda view: {states(view)[name] for name in ("h4", "h5", "h6")} == {"down", "blind"}, "losses"
    )
    assert roomy(lab.read(wanted)).keys() == {"h1", "h2", "h3", "h7", "h8"}
    fleet["h4"].hangs = fleet["h5"].blind = fleet["h6"].down = False
    fleet["h1"].held, fleet["h3"].held = {}, {}
    read_until(lab, lambda view: set(states(view).values()) == {"ok"}, "all are back")


def test_detail_has_the_times_of_the_reading(rig):
    """By our clock, whatever the host's; of a host that hangs, or tells an old reading, nothing is shown."""
    lab, fleet = rig.desk(), rig.fleet
    fleet["h4"].skew, fleet["h4"].users = -4000.0, {0: ["ada"]}
    read_until(lab, lambda view: hosts(view)["h4"].mine == 1, "the run is told")
    before = time.time()
    detail = lab.detail("h4")
    (run,) = detail.processes
    assert run.started == pytest.approx(fleet["h4"].started, abs=3)
    assert detail.at - run.started == pytest.approx(run.elapsed, abs=0.01)
    assert before - 30 < detail.at <= time.time()
    fleet["h4"].stuck = time.time() - 4000.0 - 300.0
    old = rig.desk()
    view = read_until(old, lambda view: states(view)["h4"] == "stale", "the reading is old")
    assert str(old.detail("h4").problem) == f"h4: {hosts(view)['h4'].reason}"
    fleet["h4"].down = True
    read_until(lab, lambda view: states(view)["h4"] == "down", "it is down")
    assert str(lab.detail("h4").problem) == "h4: Prometheus cannot reach its exporter"
    assert lab.detail("h4").gpus == ()
    fleet["h4"].down, fleet["h4"].skew, fleet["h4"].stuck, fleet["h4"].users = False, 0.0, None, {}


def test_a_prometheus_that_starts_without_targets_goes_on_with_old_values():
    """It answers them for five minutes, all `up`; by their age nothing is known, and nothing is OK."""
    with Rig() as rig:
        lost = rig.settled().alerts[0]
        lab = rig.desk()
        assert lab.read().problem is None
        rig.prometheus.stop()
        away = lab.read()
        assert "cannot be reached" in str(away.problem)
        assert set(states(away).values()) == {"unknown"}
        rig.prometheus.scrape([])
        rig.prometheus.start()
        view = read_until(lab, lambda view: "last asked a host" in str(view.problem), "the age is told")
        naive = rig.prometheus.ask("up")
        assert [row["value"][1] for row in naive] == ["1"] * 8, "the trap itself"
        assert {host.state for host in view.hosts} == {HostState.STALE}
        assert not view.tells_end_of(lost)
        fresh = rig.desk().read()
        assert (fresh.problem is not None, {host.state for host in fresh.hosts}) == (True, {HostState.STALE})


def test_the_first_replica_that_is_fresh_is_asked(rig, monkeypatch):
    """One without targets, one that hangs and one that is away are passed over."""
    with Prometheus() as empty:
        empty_first = rig.desk(prometheus=("http://127.0.0.1:9", empty.url, rig.prometheus.url))
        view = empty_first.read()
        assert (view.problem, len(view.hosts)) == (None, 8)
        assert len(rig.desk(prometheus=(empty.url,)).read().hosts) == 0
        assert "no target of the job" in str(rig.desk(prometheus=(empty.url,)).read().problem)
        monkeypatch.setattr("gpuwatch_tray.lab.prometheus.PROMETHEUS_SECONDS", 1.0)
        empty.pause()
        view = empty_first.read()  # the good one is in front now
        assert view.problem is None
        hung = rig.desk(prometheus=(empty.url,)).read()
        assert "did not answer within" in str(hung.problem)
        empty.go_on()


def test_a_host_that_only_another_replica_has_is_not_left_out(rig, monkeypatch):
    """Two that share the hosts between them are no replicas: what is in the other one is unknown."""
    with Prometheus() as other:
        stranger = {"targets": ["127.0.0.1:9"], "labels": {"instance": "h9:9836"}}
        other.scrape([*rig.fleet.targets("h1", "h2"), stranger])
        wait_until(lambda: len(other.ask("up")) == 3, "the other one has its targets")
        lab = rig.desk(prometheus=(rig.prometheus.url, other.url))
        view = lab.read()
        assert (states(view)["h9"], states(view)["h1"], len(view.hosts)) == ("unknown", "ok", 9)
        assert f"only {other.url.removeprefix('http://')} has it" in hosts(view)["h9"].reason
        assert hosts(view)["h9"].reason in str(lab.detail("h9").problem)
        monkeypatch.setattr("gpuwatch_tray.lab.prometheus.COMPARED_EVERY", 0.0)
        other.scrape(rig.fleet.targets("h1", "h2"))
        lab._compare_at = 0.0
        read_until(lab, lambda view: "h9" not in states(view), "it is nobody's any more")
        other.stop()
        assert len(lab.read().hosts) == 8
        other.start()


def test_a_replica_that_drips_its_answer_for_ever_is_passed_over(rig, monkeypatch):
    """The next one is asked in the same poll; alone, it is no data, and asked anew with the next poll."""
    monkeypatch.setattr("gpuwatch_tray.lab.prometheus.PROMETHEUS_SECONDS", 2.0)
    with DrippingServer() as dripping:
        view = rig.desk(prometheus=(dripping.url, rig.prometheus.url)).read()
        assert (view.problem, len(view.hosts)) == (None, 8)
    with DrippingServer(answers=lambda _head: [vector()]) as dripping:
        lab = rig.desk(prometheus=(dripping.url,), alertmanager=())
        assert "did not answer within" in str(lab.read().problem)
        assert "no target of the job" in str(lab.read().problem)
    with DrippingServer(answers=lambda _head: [reply("[]")]) as dripping:
        lab = rig.desk(alertmanager=(dripping.url,))
        monkeypatch.setattr("gpuwatch_tray.lab.prometheus.POLL_SECONDS", 2.0)
        assert lab.read().feed is FeedState.UNREACHABLE
        assert lab.read().feed is FeedState.UNKNOWN  # it has answered, without what fires


def test_swapped_addresses_of_the_two_programs_are_no_data(rig):
    """Each is told by its name: nothing is known, and no alert list is believed."""
    view = rig.desk(prometheus=(rig.manager.url,), alertmanager=(rig.prometheus.url,)).read()
    assert "is an Alertmanager, not a Prometheus" in str(view.problem)
    assert (view.feed, view.hosts, view.alerts) == (FeedState.UNREACHABLE, (), ())


def test_names_with_all_that_promql_has_as_signs_are_asked_as_they_are(rig):
    """A user's name with quotes, backslashes and signs of regular expressions is text, and nobody else's."""
    strange = 'a"b\\c.*{x}\n|ada'
    rig.fleet["h4"].extra = f"gpuwatch_user_gpus{{user={json.dumps(strange)}}} 3\n"
    lab = rig.desk(me=strange)
    view = read_until(lab, lambda view: hosts(view)["h4"].mine == 3, "what is told of that name")
    assert (view.problem, hosts(view)["h1"].mine) == (None, 0)
    assert len(rig.desk(job='no"such}job').read().hosts) == 0
    rig.fleet["h4"].extra = ""


def test_a_host_that_leaves_the_list_is_gone_and_not_forgotten(rig):
    """It has no `up` at all, not 0, and sums have no row for it: it is GONE, and its GPUs are unknown."""
    lab = rig.desk()
    lab.read()
    rig.prometheus.scrape(rig.fleet.targets("h1", "h2", "h3", "h4", "h5", "h6", "h7"))
    wait_until(lambda: len(rig.prometheus.ask("up")) == 7, "Prometheus has one host less")
    view = lab.read()
    assert rig.prometheus.ask('sum by (instance) (gpuwatch_gpu_free{instance="h8:9836"})') == []
    assert (states(view)["h8"], hosts(view)["h8"].since is not None) == ("gone", True)
    # Who has never seen it hears of it as well.
    fresh = rig.desk().read()
    assert (states(fresh)["h8"], isinstance(hosts(fresh)["h8"].free, Missing)) == ("gone", True)
    rig.prometheus.scrape(rig.fleet.targets())
