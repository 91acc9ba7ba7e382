"""The rules about a lab: each fires on what it is about, and says which host."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import (
    UNKNOWN,
    FeedState,
    HostAlert,
    HostState,
    Phase,
    Problem,
    RemoteAlert,
    RemoteSilence,
    Severity,
)
from gpuwatch_tray.rules.lab_rules import host_of, host_prefix
from tests.engine.lab_world import LabWorld, away, counted, detailed, lab

WELL = (counted("gpu1", 1), counted("gpu2"))


def world(*views, **limits):
    """A lab after these views, each for 8 polls: longer than any hold."""
    made = LabWorld(**limits)
    for view in views:
        for _ in range(8):
            made.poll(view)
    return made


def text_of(made, rule):
    return next(alert.message for alert in made.state.alerts.values() if alert.rule == rule)


def test_a_lab_that_is_well_is_calm():
    """No alert, no gap."""
    made = world(lab(*WELL))
    assert made.firing() == set()
    assert made.polls[-1].gaps == ()


def test_a_lab_that_cannot_be_read_is_told():
    """After the hold, with the reason; it mutes all others."""
    made = world(lab(*WELL, away("gpu3")), lab(problem=Problem("no answer from prometheus")))
    assert ("lab_blind", "") in made.firing()
    assert "no answer from prometheus" in text_of(made, "lab_blind")
    muted = {alert.rule: alert.inhibited_by for alert in made.polls[-1].alerts.values()}
    assert muted["host_blind"] == "lab_blind"


def test_a_host_that_does_not_answer_is_told_with_its_reason():
    """And its other alerts are muted, and stay."""
    busy = counted("gpu1", 3)
    made = world(lab(busy, WELL[1]), lab(away("gpu1", HostState.DOWN, "no route"), WELL[1]))
    assert made.firing() == {("gpu_limit", "gpu1/"), ("host_blind", "gpu1/")}
    assert text_of(made, "host_blind") == "gpu1 does not answer: no route"


def test_many_at_once_are_one_alert_until_all_answer():
    """From six hosts on, and it counts those that are left."""
    names = [f"n{number}" for number in range(8)]
    made = world(
        lab(*(counted(name) for name in names)),
        lab(counted("n0"), *(away(name) for name in names[1:])),
    )
    assert made.firing() == {("host_blind", "")}
    assert text_of(made, "host_blind").startswith("7 of 8 hosts do not answer: n1, n2")
    for _ in range(8):
        made.poll(lab(*(counted(name) for name in names[:-1]), away("n7")))
    assert made.firing() == {("host_blind", "")}
    assert "n7" in text_of(made, "host_blind")
    for _ in range(8):
        made.poll(lab(*(counted(name) for name in names)))
    assert made.firing() == set()


def test_a_host_that_was_taken_off_the_list_is_told_until_it_is_forgotten():
    """As information; forgetting it ends the alert, and it is no longer in the view."""
    made = world(lab(*WELL), lab(WELL[0]))
    assert made.firing() == {("host_gone", "gpu2/")}
    assert "alerts forget gpu2" in text_of(made, "host_gone")
    made.forget("gpu2/")
    for _ in range(8):
        found = made.poll(lab(WELL[0]))
    assert made.firing() == set()
    assert [host.name for host in found.reading.hosts] == ["gpu1"]


def test_the_limit_over_all_hosts():
    """The sum fires also where a host is not known; it is not over before all are."""
    three = [counted(name, 1) for name in ("gpu1", "gpu2")]
    made = world(lab(*three, counted("gpu3", 1), counted("gpu4", 1), away("gpu5")))
    assert ("lab_gpu_limit", "") in made.firing()
    assert "4 GPUs" in text_of(made, "lab_gpu_limit")
    for _ in range(8):
        made.poll(lab(*three, counted("gpu3"), counted("gpu4"), away("gpu5")))
    assert ("lab_gpu_limit", "") in made.firing()
    for _ in range(8):
        made.poll(lab(*three, counted("gpu3"), counted("gpu4"), counted("gpu5")))
    assert ("lab_gpu_limit", "") not in made.firing()


def test_each_host_is_judged_by_the_usual_rules():
    """By counts from a Prometheus, by its GPUs from ssh: the limit, the run time, a lost GPU."""
    old = replace(counted("gpu1", 2), oldest_start=1_699_990_000.0)
    made = world(lab(old, counted("gpu2", gpus=3), detailed("gpu3", 2, elapsed=7200.0)), gpu_limit=None)
    rules = {(rule, host_of(subject)) for rule, subject in made.firing()}
    assert rules == {
        ("gpu_limit", "gpu1"), ("max_etime", "gpu1"), ("gpu_lost", "gpu2"),
        ("gpu_limit", "gpu3"), ("max_etime", "gpu3"),
    }  # fmt: skip
    assert all(alert.message.startswith("gpu") for alert in made.state.alerts.values())


def test_a_gpu_that_ssh_once_showed_is_missed():
    """A shorter list of a host is no recovery: the lab keeps an inventory of each host."""
    made = world(lab(detailed("gpu1")), lab(detailed("gpu1", gpus=3)))
    assert made.firing() == {("gpu_lost", "gpu1/GPU-gpu1-3")}


def test_the_hosts_own_clock_counts():
    """A host whose clock is an hour ahead has no processes that are an hour older."""
    ahead = replace(counted("gpu1", 1), clock=3000.0, oldest_start=1_700_000_000.0 + 2990.0)
    assert world(lab(ahead, WELL[1])).firing() == set()


def test_a_start_that_is_told_a_second_off_is_no_other_process():
    """As after a restart of what tells it there, or of the desk: the alert goes on."""

    def since(start, **more):
        return lab(replace(counted("gpu1", 1), oldest_start=1_699_990_000.0 + start, **more), WELL[1])

    made = world(since(0.0))
    (first,) = made.firing()
    assert first == ("max_etime", "gpu1/1699990000")
    assert after_all(made, since(1.4), since(-30.0)) == {first}
    made.restart()
    assert after_all(made, since(2.0), lab(away("gpu1"), WELL[1]), since(1.0)) == {first}
    assert after_all(made, since(500.0)) == {("max_etime", "gpu1/1699990500")}
    assert after_all(made, lab(*WELL), since(500.0)) == {("max_etime", "gpu1/1699990500")}


def test_what_a_hosts_own_rules_have_found_is_told():
    """Of the hosts that concern one; of a host that tells none nothing is concluded."""
    hot = replace(counted("gpu1", 1), firing=(HostAlert("temperature", Severity.WARNING, "2"),))
    made = world(lab(hot, WELL[1]), judged_there=True)
    assert made.firing() == {("temperature", "gpu1/2")}
    assert text_of(made, "temperature") == "gpu1, GPU 2: A GPU is hot"
    for _ in range(20):
        made.poll(lab(replace(hot, firing=UNKNOWN), WELL[1]))
    assert made.firing() == {("temperature", "gpu1/2")}
    other = replace(counted("gpu9"), firing=hot.firing)
    assert world(lab(other), every_host=False).firing() == set()


REMOTE = RemoteAlert("f1", "DiskFull", "gpu1", Severity.WARNING, "the disk is full", 0.0, mine=True)


@pytest.mark.parametrize(
    ("alert", "told"),
    [
        (REMOTE, True),
        (replace(REMOTE, mine=False, host="gpu2"), False),
        (replace(REMOTE, silences=(RemoteSilence("s", "bob", "known", 9e9),)), False),
        (replace(REMOTE, inhibited=True), False),
    ],
)
def test_an_alert_of_the_alertmanager(alert, told):
    """One's own is told here too, unless it is silenced for everyone or muted there."""
    made = world(lab(*WELL, alerts=(alert,), feed=FeedState.FED), all_alerts=False)
    assert bool(made.firing()) is told


def test_a_silence_for_everyone_is_no_end():
    """An alert that was told goes on while somebody has silenced it; it is over when it is gone for long."""
    made = world(lab(*WELL, alerts=(REMOTE,), feed=FeedState.FED))
    quiet = replace(REMOTE, silences=(RemoteSilence("s", "bob", "known", 9e9),))
    for _ in range(30):
        made.poll(lab(*WELL, alerts=(quiet,), feed=FeedState.FED))
    assert made.firing() == {("remote", "gpu1/f1/DiskFull")}
    for _ in range(30):
        made.poll(lab(*WELL, feed=FeedState.FED))
    assert made.firing() == set()


ANYWHERE = replace(REMOTE, host="")


def after_all(made, *views):
    """Each view for 15 minutes, then what fires."""
    for view in views:
        for _ in range(60):
            made.poll(view)
    return made.firing()


def after(made, *views):
    """The same of the Alertmanager's alerts alone."""
    return {subject for rule, subject in after_all(made, *views) if rule == "remote"}


def test_an_alert_of_no_host_is_over_where_all_that_were_there_with_it_are_well():
    """One that hangs or is taken off the list may have been its cause; one that went before it was not."""
    fed = {"feed": FeedState.FED}
    for loss in (
        lab(WELL[0], away("gpu2"), **fed),
        lab(WELL[0], away("gpu2", HostState.GONE), **fed),
        lab(WELL[0], **fed),
    ):
        made = world(lab(*WELL, alerts=(ANYWHERE,), **fed))
        assert after(made, loss) == {"/f1/DiskFull"}
        made.restart()
        assert after(made, loss) == {"/f1/DiskFull"}
        assert after(made, lab(*WELL, **fed)) == set()
    before = world(lab(*WELL, **fed), lab(WELL[0], **fed), lab(WELL[0], alerts=(ANYWHERE,), **fed))
    assert after(before, lab(WELL[0], **fed)) == set()
    made = world(lab(*WELL, alerts=(ANYWHERE,), **fed), lab(WELL[0], **fed))
    made.forget(host_prefix("gpu2"))
    assert after(made, lab(WELL[0], **fed)) == set()


def test_a_host_that_tells_less_than_before_is_not_well():
    """Its alerts are not over by that; without its own count of GPUs, or its own rules, it is not green."""
    fed = {"feed": FeedState.FED}
    for name, green in (("expected", False), ("firing", False), ("hottest", True)):
        made = world(lab(*WELL, alerts=(REMOTE,), **fed))
        less = lab(replace(WELL[0], lacks=(name,)), WELL[1], **fed)
        assert after(made, less) == {"gpu1/f1/DiskFull"}
        assert bool(made.polls[-1].gaps) is not green
        assert after(made, lab(*WELL, **fed)) == set()
        assert made.polls[-1].gaps == ()


def test_an_alert_of_a_host_on_which_one_computes_is_told_while_it_does_not_answer():
    """Nobody tells then who computes there: one did when it was last well. Of the others none is told."""
    mine = {"all_alerts": False, "pins": frozenset({"gpu3"})}
    hosts = (*WELL, counted("gpu3"))
    lost = [away(host.name) for host in hosts]
    alerts = [replace(REMOTE, fingerprint=host.name, host=host.name, mine=False) for host in hosts]
    made = world(
        lab(*hosts, feed=FeedState.FED), lab(*lost, alerts=tuple(alerts), feed=FeedState.FED), **mine
    )
    told = {subject for rule, subject in made.firing() if rule == "remote"}
    assert told == {"gpu1/gpu1/DiskFull", "gpu3/gpu3/DiskFull"}


@pytest.mark.parametrize(
    ("called", "lost", "over"),
    [
        ("gpu1.example.org", "gpu1", False),
        ("GPU1", "gpu1", False),
        ("gpu1", "gpu1.example.org:9836", False),
        ("gpu10.example.org", "gpu1", True),
        ("10.0.0.1:9400", "10.0.0.1", False),
        ("10.0.0.1", "10.0.0.2", True),
        ("fd00::1", "fd00::1", False),
        ("fd00::1", "fd00::2", True),
    ],
)
def test_a_host_may_be_called_otherwise_in_an_alert(called, lost, over):
    """By a longer name, another port or capitals: while it is away its alert is not over."""
    alert = replace(REMOTE, host=called)
    hosts = (counted(lost), counted("gpu2"))
    made = world(lab(*hosts, alerts=(alert,), feed=FeedState.FED))
    left = after(made, lab(away(lost), hosts[1], feed=FeedState.FED))
    assert (left == set()) is over
    assert after(made, lab(*hosts, feed=FeedState.FED)) == set()


def test_an_alertmanager_that_nobody_feeds_is_told():
    """And none of its alerts is over by that."""
    made = world(lab(*WELL, alerts=(REMOTE,), feed=FeedState.FED), lab(*WELL, feed=FeedState.UNFED))
    for _ in range(40):
        made.poll(lab(*WELL, feed=FeedState.UNFED))
    assert made.firing() == {("remote", "gpu1/f1/DiskFull"), ("lab_feed", "")}


def test_the_subject_of_one_host_is_not_that_of_another():
    """gpu1 is no beginning of gpu10, and a name may hold anything."""
    assert not f"{host_prefix('gpu10')}x".startswith(host_prefix("gpu1"))
    for name in ("gpu1", "a/b", "h:9100", "ü%2F"):
        assert host_of(f"{host_prefix(name)}GPU-1/79") == name
    made = world(lab(counted("gpu1", 3), counted("gpu10", 3)), lab(away("gpu1"), counted("gpu10")))
    phases = {alert.subject: alert.phase for alert in made.state.alerts.values() if alert.rule == "gpu_limit"}
    assert phases == {"gpu1/": Phase.FIRING}
