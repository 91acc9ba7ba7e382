"""What `doctor` says of the lab from one reading of it."""

from __future__ import annotations

import pytest

from gpuwatch_tray.doctor import CheckState
from gpuwatch_tray.doctor.lab_checks import check_lab
from gpuwatch_tray.lab.host_view import clock_notes
from gpuwatch_tray.model import UNKNOWN, FeedState
from gpuwatch_tray.settings import LabSettings
from tests.support.lab_status import away, lab_view, well


def told(*hosts, **more):
    """The lines, each with its state."""
    view = lab_view(*hosts, **more)
    return [(one.state, one.text) for one in check_lab(LabSettings(), lambda: view)]


def test_a_clock_that_is_off_is_told_once_with_how_far():
    """The reading has a note about it as well."""
    hosts = (well("a", free=1, clock=90.0), well("b", free=1))
    lines = told(*hosts, notes=(*clock_notes(hosts), "dcgm-exporter does not say it"))
    assert [text for _state, text in lines if "clock" in text] == [
        "the clock of a differs from this computer's by +90 s"
    ]
    assert lines[-1] == (CheckState.WARNING, "dcgm-exporter does not say it")


@pytest.mark.parametrize(
    ("feed", "state", "text"),
    [
        (FeedState.FED, CheckState.OK, "the Alertmanager answers, and alerts reach it"),
        (FeedState.UNFED, CheckState.PROBLEM, "Alerts do not reach the Alertmanager: one is missing"),
        (FeedState.UNREACHABLE, CheckState.PROBLEM, "The Alertmanager does not answer: one is missing"),
        (FeedState.UNKNOWN, CheckState.WARNING, "one is missing"),
    ],
)
def test_an_alertmanager_that_alerts_do_not_reach_is_named(feed, state, text):
    """And where one reading cannot tell yet, that is no problem of the lab."""
    why = "" if feed is FeedState.FED else "one is missing"
    assert (state, text) in told(well("a", free=1), feed=feed, feed_problem=why)


def test_hosts_of_which_nothing_is_known_are_named():
    """And where some of a host's GPUs may be free or not."""
    lines = told(away("a"), well("b", free=UNKNOWN))
    assert (CheckState.PROBLEM, "a does not answer: connection refused") in lines
    assert (CheckState.OK, "b answers: 8 GPUs, and of some it is not known whether they are free") in lines
    assert (CheckState.PROBLEM, "no host answers (there are 2)") in told(away("a"), away("b"))
