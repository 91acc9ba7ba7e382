"""GPUs that the system has suspended are left asleep, and unused ones may fall asleep."""

from __future__ import annotations

import pytest

from gpuwatch_tray.app.context import RunContext, SourceKind, reconfigure_source
from gpuwatch_tray.model import UNKNOWN
from gpuwatch_tray.settings import Settings
from tests.driver.scenario import DRIVER_NOT_LOADED, FakeGpu, FakeProcess

pytestmark = pytest.mark.driver

FINE = "Runtime D3 status:          Enabled (fine-grained)\nVideo Memory:               Active\n"


def laptop(bus, status="active"):
    bus.card(0, status, control="auto", power=FINE)


def test_the_driver_is_not_even_loaded_while_every_gpu_sleeps(rig, bus):
    """NVML wakes what it opens; the GPU is listed as asleep, without processes, the rest not known."""
    laptop(bus, "suspended")
    snapshot = rig.read()
    (gpu,) = snapshot.gpus
    assert (snapshot.problem, snapshot.processes) == (None, ())
    assert (gpu.index, gpu.asleep, gpu.problem, gpu.process_problem) == (0, True, None, None)
    assert (gpu.uuid, gpu.name, gpu.utilisation, gpu.temperature) == ("", UNKNOWN, UNKNOWN, UNKNOWN)
    assert not rig.calls()


def test_a_gpu_that_wakes_is_read_and_left_alone_when_it_sleeps_again(rig, bus):
    """The session is closed then, since an open one alone would keep it awake; it is known by its UUID."""
    laptop(bus, "suspended")
    rig.read()
    rig.play(FakeGpu.numbered(0, FakeProcess(11)))
    laptop(bus, "active")
    snapshot = rig.read()
    assert ([one.pid for one in snapshot.processes], snapshot.gpus[0].asleep) == ([11], False)
    assert len(snapshot.gpus) == 1
    rig.calls()
    laptop(bus, "suspended")
    (gpu,) = rig.read().gpus
    assert (gpu.asleep, gpu.uuid, gpu.name) == (True, FakeGpu.numbered(0).uuid, "NVIDIA Test 4090")
    assert rig.calls() == {"shutdown": 1}
    for _ in range(20):
        rig.steady.advance(60)
        assert rig.read().gpus[0].asleep
    assert not rig.calls()


def test_an_unused_gpu_that_may_sleep_is_given_the_time_to_fall_asleep(rig, bus):
    """Asking every few seconds is what keeps it awake: it is left alone, closed, for 30 seconds at a time."""
    laptop(bus)
    rig.play(FakeGpu.numbered(0, FakeProcess(11, kinds="G"), utilisation=0))
    assert rig.read().gpus[0].utilisation == 0
    assert rig.calls()["shutdown"] == 1
    asked = []
    for second in range(1, 100):
        rig.steady.now = second
        rig.read()
        asked += [second] * rig.calls()["init"]
    assert asked == [30, 60, 90]


def test_while_it_is_given_that_time_it_counts_as_asleep(rig, bus):
    """Its name is known; what it does is not, and nobody computed on it a moment ago."""
    laptop(bus)
    rig.play(FakeGpu.numbered(0, utilisation=0))
    rig.read()
    (gpu,) = rig.read().gpus
    assert (gpu.asleep, gpu.name, gpu.utilisation) == (True, "NVIDIA Test 4090", UNKNOWN)


def test_one_that_fell_asleep_and_woke_is_asked_at_once(rig, bus):
    """Somebody uses it now: the rest of the 30 seconds does not count."""
    laptop(bus)
    rig.play(FakeGpu.numbered(0, utilisation=0))
    rig.read()
    rig.steady.advance(5)
    laptop(bus, "suspended")
    rig.read()
    rig.steady.advance(5)
    laptop(bus, "active")
    rig.play(FakeGpu.numbered(0, FakeProcess(11)))
    assert [one.pid for one in rig.read().processes] == [11]


@pytest.mark.parametrize(
    "gpu",
    [
        FakeGpu.numbered(0, FakeProcess(11), utilisation=0),
        FakeGpu.numbered(0, FakeProcess(11, kinds="M"), utilisation=0),
        FakeGpu.numbered(0, utilisation=3),
        FakeGpu.numbered(0, utilisation=0, errors={"compute": 999}),
        FakeGpu.numbered(0, utilisation=0, errors={"utilisation": 999}),
        FakeGpu.numbered(0, utilisation=0, lost=True),
    ],
)
def test_a_gpu_that_is_used_or_cannot_be_read_is_asked_every_time(rig, bus, gpu):
    """A gap is never taken for rest."""
    laptop(bus)
    rig.play(gpu)
    for _ in range(3):
        assert not rig.read().gpus[0].asleep


@pytest.mark.parametrize(
    ("control", "power"),
    [("on", FINE), ("auto", ""), ("auto", "Runtime D3 status:          Disabled by default\n")],
)
def test_a_gpu_that_never_sleeps_is_asked_every_time(rig, bus, control, power):
    """As in a desktop or a server: an idle one is watched as closely as any."""
    bus.card(control=control, power=power)
    rig.play(FakeGpu.numbered(0, utilisation=0))
    for _ in range(5):
        assert rig.read().gpus[0].temperature == 45
    assert rig.calls()["init"] == 1


def test_one_that_sleeps_beside_one_that_works_is_not_touched(rig, bus):
    """The one awake is found by its place on the bus: its index would have to be looked for."""
    bus.card(0, "suspended")
    bus.card(1)
    rig.play(FakeGpu.numbered(0), FakeGpu.numbered(1, FakeProcess(11)))
    for _ in range(3):
        first, second = rig.read().gpus
        assert (first.index, first.asleep, second.index, second.asleep) == (0, True, 1, False)
        assert second.uuid == FakeGpu.numbered(1).uuid
    assert not [name for name in rig.calls() if name.endswith(FakeGpu.numbered(0).uuid)]
    bus.card(0)
    first, second = rig.read().gpus
    assert (first.uuid, first.asleep, len(rig.read().gpus)) == (FakeGpu.numbered(0).uuid, False, 2)


def test_one_that_falls_asleep_keeps_its_place_and_its_name(rig, bus):
    """It is the same GPU, and asked nothing from then on; the other is read as ever."""
    bus.card(0)
    bus.card(1)
    rig.play(FakeGpu.numbered(0), FakeGpu.numbered(1, FakeProcess(11)))
    rig.read()
    rig.calls()
    bus.card(0, "suspended")
    first, second = rig.read().gpus
    assert (first.asleep, first.name, first.uuid) == (True, "NVIDIA Test 4090", FakeGpu.numbered(0).uuid)
    assert second.temperature == 45
    assert not [name for name in rig.calls() if name.endswith(FakeGpu.numbered(0).uuid)]


def test_a_lost_gpu_beside_a_sleeping_one_is_still_lost(rig, bus):
    """Taken off the bus while the other sleeps on."""
    bus.card(0)
    bus.card(1)
    rig.play(FakeGpu.numbered(0), FakeGpu.numbered(1))
    rig.read()
    bus.card(0, "suspended")
    bus.card(1, vendor="0x0000")
    rig.steady.advance(100)
    first, second = rig.read().gpus
    assert (first.asleep, first.problem) == (True, None)
    assert second.problem.startswith("lost: ")


def test_somebody_elses_gpu_on_the_same_bus_is_nobody_lost(rig, bus):
    """A container sees every device of the machine and is given some."""
    bus.card(0, "suspended")
    bus.card(1)
    bus.card(2)
    rig.play(FakeGpu.numbered(1))
    (gpu,) = rig.read().gpus
    assert (gpu.uuid, gpu.problem, gpu.asleep) == (FakeGpu.numbered(1).uuid, None, False)


def test_somebody_elses_sleeping_gpu_is_not_ours(rig, bus):
    """The driver counts those that are given to this container."""
    bus.card(0, "suspended")
    bus.card(1)
    rig.play(FakeGpu.numbered(1))
    assert len(rig.read().gpus) == 1


def test_gpus_that_slept_from_the_start_are_known_again_whatever_their_order(rig, bus):
    """By their places on the bus: while they sleep, their indexes can only be guessed."""
    bus.card(0, "suspended")
    bus.card(1, "suspended")
    rig.play(FakeGpu.numbered(1, FakeProcess(11)), FakeGpu.numbered(0))
    assert [gpu.index for gpu in rig.read().gpus] == [0, 1]
    bus.card(1)
    snapshot = rig.read()
    assert [(gpu.index, gpu.uuid[-1:], gpu.asleep) for gpu in snapshot.gpus] == [
        (0, "1", False),
        (1, "", True),
    ]
    bus.card(0)
    snapshot = rig.read()
    assert [(gpu.index, gpu.uuid[-1], gpu.asleep) for gpu in snapshot.gpus] == [
        (0, "1", False),
        (1, "0", False),
    ]
    assert [(one.pid, one.gpu) for one in snapshot.processes] == [(11, 0)]


@pytest.mark.parametrize("by", ["nouveau", "vfio-pci", ""])
def test_a_gpu_of_another_driver_says_nothing_about_nvidias(rig, bus, by):
    """It may sleep as it likes: that there is no driver is what there is to say."""
    bus.card(0, "suspended", by=by)
    rig.play(init_error=DRIVER_NOT_LOADED)
    assert rig.read().problem.no_driver


@pytest.mark.parametrize("kind", ["0x040300", "0x0c0330"])
def test_other_devices_of_nvidias_are_no_gpus(rig, bus, kind):
    """A sound device, a USB controller."""
    bus.card(7, "suspended", kind=kind)
    assert rig.read().gpus[0].asleep is False


def test_with_the_setting_a_sleeping_gpu_is_woken_and_read(rig, bus):
    """WAKE: as if no GPU slept, and no session is closed so that one might."""
    laptop(bus, "suspended")
    rig.play(FakeGpu.numbered(0, FakeProcess(11), utilisation=0))
    source = rig.another(wake_sleeping=True)
    for _ in range(3):
        snapshot = source.read()
        assert [one.pid for one in snapshot.processes] == [11]
    source.close()
    assert rig.calls()["init"] == 1


def test_the_setting_holds_from_the_next_look_when_it_changes(rig, bus):
    """WAKE_GPU read again while the program runs: woken from now on, and left asleep again after that."""
    laptop(bus, "suspended")
    rig.play(FakeGpu.numbered(0, FakeProcess(11)))
    source = rig.another()
    seen = []
    for wake in (False, True, False):
        setup = RunContext(
            Settings(rig.devices, rig.devices, wake_gpu=wake), (), SourceKind.NVML, "box", "ada"
        )
        reconfigure_source(source, setup)
        seen.append([gpu.asleep for gpu in source.read().gpus])
    source.close()
    assert seen == [[True], [False], [True]]


def test_a_system_that_tells_nothing_of_its_devices_is_read_as_ever(rig):
    """Windows, macOS, a container without /sys: no folder, nobody asleep."""
    assert not rig.devices.exists()
    assert rig.read().gpus[0].asleep is False


def test_a_gpu_whose_place_is_not_told_keeps_the_session(rig, bus):
    """It cannot be told from those on the bus, so it is asked."""
    bus.card(0)
    rig.play(FakeGpu.numbered(0, errors={"pci": 13}))
    rig.read()
    bus.card(0, "suspended")
    (gpu,) = rig.read().gpus
    assert (gpu.asleep, gpu.temperature) == (False, 45)
