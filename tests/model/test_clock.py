"""One moment on two clocks: how long ago, and what came first, whatever the wall clock was set to."""

from __future__ import annotations

import pytest

from gpuwatch_tray.common import host
from gpuwatch_tray.model import Instant

NOW = Instant(1000.0, 500.0, "boot-2")
HERE, LATER = Instant(2000.0, 100.0, "boot-2"), Instant(900.0, 200.0, "boot-2")  # set back in between
BEFORE = Instant(5000.0, 9000.0, "boot-1")  # of another boot, whose wall clock was ahead
PROCESS, OTHER = Instant(800.0, 7.0, "process-a"), Instant(850.0, 3.0, "process-b")


@pytest.mark.parametrize(
    ("later", "earlier", "seconds"),
    [
        # one boot: the clock that nobody sets
        (LATER, HERE, 100.0),
        (HERE, LATER, -100.0),
        # over a boot: all there is
        (NOW, BEFORE, -4000.0),
        # a boot that cannot be told is never the same
        (Instant(7.0, 100.0), Instant(5.0, 0.0), 2.0),
        (OTHER, PROCESS, 50.0),
    ],
)
def test_how_long_ago(later, earlier, seconds):
    """Within a boot by its own clock, else by the wall."""
    assert later.since(earlier) == seconds


@pytest.mark.parametrize(
    ("one", "other", "follows"),
    [
        (LATER, HERE, True),
        (HERE, LATER, False),
        (HERE, HERE, False),
        # what was in this boot was after what was not, whatever the wall clocks said
        (HERE, BEFORE, True),
        (BEFORE, HERE, False),
        # two other boots: the wall clock is all there is
        (BEFORE, Instant(1.0, 1.0, "boot-0"), True),
        # a process's own clock is no boot: another may run beside it
        (HERE, Instant(3000.0, 1.0, "process-a"), False),
        (OTHER, PROCESS, True),
        (PROCESS, OTHER, False),
        (Instant(6000.0), BEFORE, True),
    ],
)
def test_what_came_first(one, other, follows):
    """The order of two moments is that of their boots, as far as it can be known."""
    assert one.follows(other, NOW) is follows


def test_the_clock_of_this_machine_goes_on():
    """Two looks at the clock are in order, and the boot has a name."""
    first, second = host.now(), host.now()
    assert first.boot == second.boot != ""
    assert 0 <= second.since(first) < 60
