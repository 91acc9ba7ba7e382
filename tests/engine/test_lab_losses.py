"""No loss of data of a lab may ever look green, free or resolved, whatever the hosts do in whatever order."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gpuwatch_tray.alerts import ChangeKind
from gpuwatch_tray.engine.status import lab_status_of, lab_summary
from gpuwatch_tray.model import (
    FeedState,
    HostState,
    HostView,
    Level,
    Missing,
    Problem,
    RemoteAlert,
    Severity,
)
from gpuwatch_tray.rules import lab_rules
from tests.engine.lab_world import LabWorld, away, counted, detailed, lab

NAMES = ("gpu1", "gpu10", *(f"gpu{n}" for n in range(2, 8)))  # enough to be told in one alert
LOST = (HostState.DOWN, HostState.BLIND, HostState.STALE, HostState.UNKNOWN, HostState.GONE)

well = st.one_of(
    st.builds(lambda mine: lambda name: counted(name, mine), st.integers(0, 4)),
    st.just(lambda name: counted(name, 2, gpus=3)),  # one of four is lost
    st.builds(lambda busy, lost: lambda name: detailed(name, busy, lost=lost), *[st.integers(0, 2)] * 2),
    st.just(lambda name: detailed(name, 1, elapsed=7200.0)),
    st.just(lambda name: HostView(name, HostState.OK, 0.0)),  # it answers, and counts nothing
)
lost = st.one_of(
    st.sampled_from([lambda name, state=state: away(name, state) for state in LOST]),
    st.just(lambda _name: None),  # off the list without a word
)
host = st.one_of(well, well, lost)
remote = st.sets(st.sampled_from(range(6)), max_size=4).map(
    lambda numbers: tuple(
        RemoteAlert(
            f"f{n}", f"Alert{n}", [*NAMES, "", "elsewhere", NAMES[0]][n], Severity.WARNING, "hot", 0.0
        )
        for n in sorted(numbers)
    )
)
# One state of things, and for how many polls it lasts: holds and clear times are passed, or are not.
stretch = st.tuples(
    st.one_of(
        st.tuples(*[host] * len(NAMES)), st.tuples(*[lost] * len(NAMES)), st.tuples(*[well] * len(NAMES))
    ),
    remote,
    st.sampled_from([FeedState.FED, FeedState.FED, FeedState.FED, *FeedState]),
    st.sampled_from([False] * 5 + [True]),
    st.sampled_from([1, 2, 6, 30]),
    st.sampled_from([False] * 9 + [True]),
)


def view_of(step):
    makers, alerts, feed, trouble, _polls, _restart = step
    if trouble:
        return lab(problem=Problem("no answer"), feed=FeedState.UNKNOWN)
    hosts = [made for name, make in zip(NAMES, makers, strict=True) if (made := make(name)) is not None]
    return lab(*hosts, alerts=alerts, feed=feed)


def is_well(view, name):
    return any(host.name == name and host.state is HostState.OK for host in view.hosts)


# Without shrinking: that takes minutes here, and the first example says as much.
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(st.lists(stretch, min_size=2, max_size=8), st.booleans())
def test_no_sequence_of_losses_is_green_free_or_resolved(steps, every_host):
    """Hosts come, go, hang, go blind and lose GPUs; the whole lab and its Alertmanager do as well."""
    world = LabWorld(every_host=every_host, pins=frozenset({"gpu1"}))
    known = set()
    for step in steps:
        if step[-1]:
            world.restart()
        asked = view_of(step)
        for _ in range(step[-2]):
            found = world.poll(asked)
            known |= {host.name for host in found.reading.hosts if host.state is HostState.OK}
            _never_green(found, every_host=every_host)
            _never_counted(found.reading, known)
            for change in found.changes:
                if change.kind is ChangeKind.RESOLVED:
                    _really_over(change.alert, found.reading)


def _never_counted(view, known):
    for host in view.hosts:
        if host.state is not HostState.OK:
            assert isinstance(host.free, Missing)
            assert "not known on " in lab_summary(view) or "unknown on " in lab_summary(view)
    if view.problem is None:  # a host that was there is missed until it is forgotten
        assert known <= {host.name for host in view.hosts}


def _never_green(found, *, every_host):
    view = found.reading
    status = lab_status_of(view, found.alerts, found.gaps)
    if status.level is not Level.OK:
        return
    assert view.problem is None
    assert any(host.state is HostState.OK for host in view.hosts)
    assert view.feed in {FeedState.FED, FeedState.NONE}
    concerned = {host.name for host in view.hosts} if every_host else {"gpu1"}
    present = [host for host in view.hosts if host.name in concerned and host.state is not HostState.GONE]
    assert all(host.state is HostState.OK for host in present)


def _really_over(alert, view):
    assert view.problem is None
    assert view.hosts
    if alert.rule == lab_rules.REMOTE:
        assert view.feed is FeedState.FED
        there = {one.fingerprint for one in view.alerts}
        assert alert.subject.split("/")[1] not in there
        name = lab_rules.host_of(alert.subject)
        if name in {host.name for host in view.hosts}:  # of one that never was, the feed's word is all
            assert is_well(view, name)
        if not name:  # one that hangs may have been its cause; one that is gone may have gone before it came
            assert all(host.state in {HostState.OK, HostState.GONE} for host in view.hosts)
        return
    if alert.rule == lab_rules.LAB_FEED:
        assert view.feed in {FeedState.FED, FeedState.NONE}
        return
    if alert.subject:
        assert is_well(view, lab_rules.host_of(alert.subject)), alert
    elif alert.rule in {lab_rules.HOST_BLIND, lab_rules.LAB_GPU_LIMIT}:
        assert all(host.state in {HostState.OK, HostState.GONE} for host in view.hosts)
    if alert.rule == lab_rules.LAB_GPU_LIMIT:
        assert not any(isinstance(host.mine, Missing) for host in view.hosts)
