"""How times, durations and amounts of memory are written."""

from datetime import datetime

import pytest

from gpuwatch_tray.model.units import (
    DAY,
    GIB,
    HOUR,
    MIB,
    MINUTE,
    duration,
    end_time,
    local_time,
    memory_text,
    recent_time,
    rough_duration,
)

NOON = datetime(2026, 1, 7, 12).astimezone().timestamp()


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (-1, "0 s"),
        (59.9, "59 s"),
        (24 * MINUTE + 59, "24 min"),
        (3 * HOUR, "3 h"),
        (3 * HOUR + 24 * MINUTE, "3 h 24 min"),
        (2 * DAY + 59 * MINUTE, "2 d"),
        (2 * DAY + 5 * HOUR, "2 d 5 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds, written):
    """A unit of which there is none is left out."""
    assert duration(seconds) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (-3, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (119 * MINUTE, "119 min"),
        (47 * HOUR, "47 h"),
        (3 * DAY, "3 d"),
    ],
)
def test_a_rough_duration_has_one_unit(seconds, written):
    """It is the largest unit of which there are at least two."""
    assert rough_duration(seconds) == written


def test_times_name_the_day_where_it_is_another():
    """A time of today goes without its date, one of tomorrow by that word."""
    assert local_time(NOON) == "2026-01-07 12:00:00"
    assert recent_time(NOON - HOUR, NOON) == "11:00:00"
    assert recent_time(NOON - DAY, NOON) == "2026-01-06 12:00:00"
    assert end_time(NOON + HOUR, NOON) == "13:00"
    assert end_time(NOON + DAY, NOON) == "tomorrow 12:00"
    assert end_time(NOON + 2 * DAY, NOON) == "2026-01-09 12:00"


def test_memory_is_in_gibibytes_from_one_on():
    """Less than one is in whole mebibytes."""
    assert memory_text(GIB - 1) == "1023 MiB"
    assert memory_text(GIB + 800 * MIB) == "1.8 GiB"
