"""GetSessionIdleTime: believed only once it has been seen to grow with the clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.desktop.presence.dbus_sources import IdleUnitProbe, SessionIdle
from gpuwatch_tray.desktop.presence.detector import DesktopPresence
from gpuwatch_tray.desktop.presence.types import SuspendLog, moment
from gpuwatch_tray.model import Presence
from tests.desktop.presence.services import FakeLocker
from tests.support.timing import wait_until

NAME = "org.freedesktop.ScreenSaver"


def proved(values, pause=5.0):
    growth = IdleUnitProbe()
    return [growth.observe(value, 100 + pause * place) for place, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # it never grows: it is broken, whatever it says
        ([0, 0, 0, 0], [None] * 4),
        ([7, 7, 7, 7], [None] * 4),
        # seconds and milliseconds, believed at the second growth; 0 is then an input
        ([2, 7, 12, 17, 0], [None, None, 12, 17, 0]),
        ([2000, 7000, 12_000, 17_001, 300], [None, None, 12, 17.001, 0.3]),
        # one growth is no proof: 3 ms after an input, and 8 ms after the next
        ([3, 8, 5008, 10_008], [None, None, None, 10.008]),
        # a growth that is too fast for seconds takes the proof back
        ([0, 5, 10, 10_000, 15_000], [None, None, 10, None, None]),
        # a counter that stops is not believed any more, until it goes again
        ([0, 5, 10, 10, 15, 20], [None, None, 10, None, None, 20]),
        # microseconds, or anything else
        ([0, 5_000_000, 10_000_000, 15_000_000], [None] * 4),
    ],
)
def test_each_row_of_the_table(values, expected):
    """What the comment above each row says, for an answer every five seconds."""
    assert proved(values) == expected


@given(st.sampled_from([1, 1000]), st.lists(st.booleans(), min_size=1, max_size=30))
def test_what_it_means_is_never_far_from_the_truth(unit, touched):
    """With input at random, a counter in either unit is either not believed or right to the second."""
    growth, now, last = IdleUnitProbe(), 1000.0, 990.0
    for touch in touched:
        now += 5.0
        if touch:
            last = now - 2.0
        idle = growth.observe(int((now - last) * unit), now)
        assert idle is None or abs(idle - (now - last)) <= 1.0


@pytest.fixture
def watched(bus):
    """Run the source alone, asked in quick succession."""
    suspends = SuspendLog()
    source = SessionIdle(bus, suspends, 0.05)
    yield DesktopPresence([source], 2.0, suspends)
    source.close()


def test_a_counter_that_grows_is_believed(watched, client):
    """And one that stands still is not: nobody is taken for present by it."""
    service = FakeLocker(NAME, idle=0)
    client.serve("/ScreenSaver", service, NAME)  # KDE's older path; the newer one is not there
    wait_until(lambda: service.asked > 3, "a few questions")
    assert watched.check().presence is Presence.UNKNOWN
    assert "its idle time has not been seen to grow" in watched.sources()[-1]
    base = moment().awake - 1.0
    until = moment().awake + 5
    while watched.check().presence is not Presence.AWAY:
        service.idle = round((moment().awake - base) * 1000)
        assert moment().awake < until
    assert watched.check().source == "org.freedesktop.ScreenSaver (idle time)"


def test_a_service_that_refuses_is_left_in_peace(watched, client):
    """One question and no more; its next owner is asked anew."""
    service = FakeLocker(NAME)
    client.serve("/org/freedesktop/ScreenSaver", service, NAME)
    wait_until(lambda: "refused GetSessionIdleTime" in watched.sources()[-1], "the refusal to be told")
    asked = service.asked
    client.wait(client.bus.release_name(NAME))
    wait_until(lambda: "not running" in watched.sources()[-1], "its end to be noticed")
    assert service.asked == asked == 1
    client.wait(client.bus.request_name(NAME))
    wait_until(lambda: service.asked == 2, "the next owner to be asked")
