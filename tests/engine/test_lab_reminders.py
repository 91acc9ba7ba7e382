"""What can be waited for in a lab, and what is refused because nobody there could tell."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.alerts.lab_reminders import MOST_ROOM
from gpuwatch_tray.engine.lab_reminders import LabReminders
from gpuwatch_tray.engine.operations import ReminderError
from gpuwatch_tray.model import UNKNOWN, UNSUPPORTED, Problem
from gpuwatch_tray.model.units import GIB
from tests.engine.lab_world import away, counted, lab
from tests.support.fakes import Clock

UNTOLD = replace(counted("gpu1"), free=UNSUPPORTED)


@pytest.fixture
def reminders(store):
    return LabReminders(store, Clock().instant)


def test_several_gpus_with_memory_can_be_waited_for_where_hosts_have_no_details(reminders):
    """On one host and over several; who waits already is told so."""
    view = lab(counted("gpu1"), counted("gpu2"))
    said = reminders.add_free(2, "gpu*", view, memory=40 * GIB)
    assert (
        said == "L1: you will be notified when 2 GPUs are free on one of gpu* for 1 min, with 40.0 GiB each"
    )
    assert reminders.add_free(6, "gpu*", view, memory=40 * GIB, spread=True).startswith("L2: ")
    assert reminders.add_free(2, "gpu*", view, memory=40 * GIB).startswith("L1: you will already be")


@pytest.mark.parametrize("memory", [0, GIB])
def test_what_no_exporter_tells_is_refused_with_the_reason(reminders, memory):
    """Free GPUs where processes are not told, unless those count that look free, or a host may tell yet."""
    with pytest.raises(
        ReminderError, match="no exporter tells which GPUs are free on gpu1: with LAB_LOOKS_FREE=on"
    ):
        reminders.add_free(1, "gpu1", lab(UNTOLD), memory=memory)
    assert reminders.add_free(1, "gpu1", lab(UNTOLD), memory=memory, looks=True)
    mixed = lab(UNTOLD, replace(counted("gpu2"), free=UNKNOWN))
    for view in (mixed, lab(UNTOLD, away("gpu2")), lab(problem=Problem("no answer"))):
        assert reminders.add_free(1, "gpu*", view, memory=memory)


def test_amounts_of_memory_are_bounded(reminders):
    """Each is a question at each poll: one more is refused, the same again is not."""
    view = lab(counted("gpu1"))
    for size in range(1, MOST_ROOM + 1):
        reminders.add_free(1, "gpu1", view, memory=size * GIB)
    with pytest.raises(ReminderError, match=f"{MOST_ROOM} amounts of memory are waited for already: 1.0 GiB"):
        reminders.add_free(1, "gpu1", view, memory=99 * GIB)
    assert reminders.add_free(2, "gpu1", view, memory=3 * GIB)
    assert reminders.add_free(2, "gpu1", view)
