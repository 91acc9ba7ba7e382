"""What the page is told of the present."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.app.control import details_answer, gpu_gap
from gpuwatch_tray.app.status_json import ResponderInfo, build_status
from gpuwatch_tray.model import UNKNOWN, UNSUPPORTED, Gpu, Level, Missing, Phase, Status, Why
from tests.support.fakes import BOOT, alert, process, snapshot

CALM = Gpu(0, "GPU-a", temperature=60, fan=UNSUPPORTED, power=UNKNOWN)


def told(status, *, stale=False):
    return details_answer(status, build_status(status, ResponderInfo("tray", "box", "nvml")), stale=stale)


@pytest.mark.parametrize(
    ("gpu", "why"),
    [
        (CALM, ""),  # what a GPU never gives is no gap
        (replace(CALM, problem="lost"), "lost"),
        (replace(CALM, process_problem="no permission"), "no permission"),
        (replace(CALM, temperature=Missing(Why.ERROR, "timeout")), "some of it cannot be read: timeout"),
        (replace(CALM, ecc_corrected=Missing(Why.ERROR)), "some of it cannot be read"),
    ],
)
def test_a_gap_is_what_could_be_known_and_is_not(gpu, why):
    """Each value that failed, the whole GPU, or its processes; not what is unsupported."""
    assert gpu_gap(gpu) == why
    status = Status(Level.OK, "", 0.0, replace(snapshot(), gpus=(gpu,)))
    assert told(status)["status"]["gpus"][0]["gap"] == why


def test_a_stale_reading_tells_of_no_gpu_and_no_process():
    """What was read before says nothing of now."""
    status = Status(Level.NO_DATA, "No data since 12:00", 0.0, replace(snapshot(process(1)), gpus=(CALM,)))
    assert told(status)["present"] == [1]
    assert told(status, stale=True) == {
        "status": told(status)["status"] | {"gpus": []},
        "present": [],
        "commands": [],
    }
    assert told(Status(Level.NO_DATA, "", 0.0))["present"] == []


def test_a_gpu_has_the_numbers_of_the_alerts_about_it():
    """Of itself and of a process on it; what is yet to fire is none."""
    reading = snapshot(process(1, 1), gpus=2)
    ran = f"{BOOT}/1/start-1"
    alerts = (
        alert(id=4, subject="GPU-0000"),
        alert(id=5, subject=ran),
        alert(id=6, subject="GPU-0001", phase=Phase.PENDING),
    )
    found = told(Status(Level.WARNING, "", 0.0, reading, alerts))["status"]["gpus"]
    assert [each["alerts"] for each in found] == [[4], [5]]


def test_commands_are_ones_own_and_redacted():
    """Of others' processes not even the PID has a command; a secret is out."""
    mine = replace(process(1), mine=True, command=("python", "x.py", "--token", "hunter22"))
    status = Status(Level.OK, "", 0.0, snapshot(mine, replace(process(2), mine=False)))
    assert told(status)["commands"] == [[1, "python x.py --token ***"]]
