"""No sequence of losses gives green, free or resolved: through the source, the rules and the engine."""

from __future__ import annotations

import shutil
from collections import deque
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.alerts import RoutingPolicy
from gpuwatch_tray.alerts.state_machine import ChangeKind
from gpuwatch_tray.engine import Engine, Policy
from gpuwatch_tray.engine.lab_rule_book import LabRules
from gpuwatch_tray.lab.alertmanager import Alertmanagers
from gpuwatch_tray.lab.host_states import READING_AGE, SCRAPES
from gpuwatch_tray.lab.prometheus import PrometheusLab
from gpuwatch_tray.lab.silences_made import SilencesMade
from gpuwatch_tray.model import HostState, LabLimits, Level, Limits, Missing, RoomWanted
from gpuwatch_tray.model.units import GIB
from gpuwatch_tray.notify.render import MailIdentity
from gpuwatch_tray.settings import LabSettings
from gpuwatch_tray.store import Store
from tests.lab.lost_world import FREE, INTERVAL, LOSSES, MINE, LostWorld, WorldHost
from tests.lab.scripted import GivenSecret
from tests.support.fakes import Clock
from tests.support.folders import memory_folder

NAMES = ("h1", "h2", "h3")
ROOM = 40 * GIB  # of memory, that somebody waits for on free GPUs
# After so long nothing that was lost may still count as read.
SETTLED = max(SCRAPES * INTERVAL, READING_AGE) + 2 * INTERVAL
SETTINGS = LabSettings(
    prometheus=("http://prometheus.test",), alertmanager=("http://manager.test",), me="ada", pins=("h2",)
)
LIMITS = LabLimits(gpu_limit=3, alertmanager=True, all_alerts=True, pins=frozenset({"h2"}))


class Desk:
    """The program's source, rules and state over a made-up world."""

    def __init__(self, world: LostWorld, *, calm: bool) -> None:
        self.world, self.calm = world, calm
        self.folder = memory_folder()
        self.clock = Clock()
        self.start()

    def start(self) -> None:
        """Begin, or begin anew from what is on file."""
        calm, world = self.calm, self.world
        self.store = Store(self.folder, "lab", self.clock.uptime)
        made = SilencesMade(self.folder / "none.json")
        self.source = PrometheusLab(
            SETTINGS, GivenSecret(), made, clock=lambda: self.clock.instant().wall, steady=self._steady
        )
        server = SimpleNamespace(name="test", address="test", close=lambda: None)
        self.source._clients = deque([SimpleNamespace(poll=world.poll, server=server)])
        self.source._alertmanagers = SimpleNamespace(
            read=world.read, shown=Alertmanagers([], made).shown, close=lambda: None
        )
        # Without alerts from the beginning, nothing but what is lost can keep the icon from being green.
        limits = LIMITS if not calm else replace(LIMITS, gpu_limit=None)
        of_a_host = Limits(gpu_limit=None if calm else 1)
        policy = Policy(of_a_host, RoutingPolicy(3600.0), gap=3600.0, lab=limits)
        self.engine = Engine(
            LabRules(), self.store, policy, MailIdentity("lab", "ada", ""), self.clock.instant
        )

    def _steady(self) -> float:
        return self.clock.instant().uptime

    def look(self, seconds: float):
        """Let time pass, read once, and evaluate that."""
        self.world.advance(seconds)
        self.clock.advance(seconds)
        view = self.source.read([RoomWanted(ROOM, 1)])
        return view, self.engine.evaluate(view)

    def stop(self) -> None:
        self.store.close()
        self.source.close()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)


steps = st.lists(
    st.tuples(
        st.sampled_from(LOSSES),
        st.sampled_from(NAMES),
        st.sampled_from([15.0, 60.0, SETTLED, 1000.0]),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("lost", [0, 1])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps)
def test_no_sequence_of_losses_gives_green_free_or_resolved(lost, steps):
    """What was lost is never well again, nothing becomes free by it, and no alert ends; nor by a restart."""
    for loss, *_ in steps:
        event(loss.__name__)
    play(lost, steps)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_no_loss_alone_gives_green_free_or_resolved(loss, restart):
    """Each on the host whose GPU is lost, and on one that was well."""
    for lost in (0, 1):
        play(lost, [(loss, "h1", 60.0, restart)])


def play(lost, steps):
    clock = Clock()
    world = LostWorld(
        {name: WorldHost(name, lost if name == "h1" else 0) for name in NAMES}, clock.instant().wall
    )
    desk = Desk(world, calm=not lost)
    try:
        for _ in range(4):
            view, result = desk.look(30.0)
        assert {host.state for host in view.hosts} == {HostState.OK}, view
        assert {host.roomy for host in view.hosts} == {((ROOM, FREE),)}
        assert [alert.rule for alert in result.status.alerts].count("remote") == lost, result.status
        assert (result.status.level is Level.OK) is not bool(lost), result
        losses = set()
        for loss, name, seconds, restart in steps:
            loss(world, name)
            losses.add(loss)
            if restart:
                desk.stop()
                desk.start()
            for wait in (seconds, 15.0):
                check(*desk.look(wait), losses, settled=False)
            for wait in (SETTLED, *[60.0] * 10):
                check(*desk.look(wait), losses, settled=True)
    finally:
        desk.close()


# What goes on for ever in this world; what tells that something is not known comes and goes.
COME_AND_GO = {"lab_blind", "host_blind", "host_gone", "lab_feed"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(
        st.tuples(
            st.one_of(st.sampled_from(LOSSES), st.just(LostWorld.mend)),
            st.sampled_from(NAMES),
            st.sampled_from([15.0, 60.0, SETTLED, 1000.0]),
            st.sampled_from([False, False, True]),
        ),
        min_size=2,
        max_size=8,
    )
)
def test_what_comes_back_ends_nothing_that_is_not_over(steps):
    """Losses and recoveries in any order: a GPU that stays lost, and limits that stay exceeded, go on."""
    clock = Clock()
    world = LostWorld({name: WorldHost(name, int(name == "h1")) for name in NAMES}, clock.instant().wall)
    desk = Desk(world, calm=False)
    try:
        for _ in range(4):
            _view, result = desk.look(30.0)
        assert {"remote", "gpu_lost"} <= {alert.rule for alert in result.status.alerts}
        for loss, name, seconds, restart in steps:
            event(loss.__name__)
            loss(world, name)
            if restart:
                desk.stop()
                desk.start()
            for wait in (seconds, *[15.0] * 8, *[60.0] * 12):
                _view, result = desk.look(wait)
                ended = {change.alert.rule for change in result.changes if change.kind is ChangeKind.RESOLVED}
                assert ended <= COME_AND_GO
                assert result.status.level is not Level.OK
    finally:
        desk.close()


def check(_view, result, losses, *, settled):
    shown = result.lab_view
    if shown.problem is None:
        assert {host.name for host in shown.hosts} == set(NAMES), "a host is left out silently"
    for host in shown.hosts:
        assert isinstance(host.free, Missing) or host.free <= FREE
        assert host.roomy in {(), ((ROOM, FREE),)}
        assert host.roomy == () or not isinstance(host.free, Missing)
        assert isinstance(host.mine, Missing) or host.mine == MINE
        assert host.state is HostState.OK or isinstance(host.free, Missing)
    ended = [change.alert for change in result.changes if change.kind is ChangeKind.RESOLVED]
    assert ended == [], "a loss has ended an alert"
    # Whose processes they are, and what is free, matters to limits alone, which are off where all is calm.
    if settled and losses - {LostWorld.hide_users, LostWorld.refuse_counts}:
        assert result.status.level is not Level.OK
