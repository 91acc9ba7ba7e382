"""A long time, exported piece by piece."""

from __future__ import annotations

import pytest

from gpuwatch_tray.cli import report_samples
from gpuwatch_tray.model import TEN_MINUTES
from gpuwatch_tray.model.units import MINUTE
from tests.support.fakes import process
from tests.support.machine_history import NOON, Past


@pytest.mark.parametrize("finest", [MINUTE, TEN_MINUTES])
@pytest.mark.parametrize("shift", [0, 30, 100, 700])
def test_piece_by_piece_is_all_at_once(tmp_path, monkeypatch, finest, shift):
    """Each sample once, wherever the time begins: idle half-hours are one stretch and lie in many pieces."""
    monkeypatch.setattr(report_samples, "WINDOW", 1200)
    machine = Past(tmp_path)
    for number in range(3):
        machine.poll_for(process(number), seconds=3000 + 77 * number)
    start, end = NOON + shift, machine.clock.now

    def told(begin, until):
        return list(report_samples.sample_records(machine.history(begin, until, finest=finest)))

    parts = [one for piece in report_samples.windows(start, end) for one in told(*piece)]
    assert sorted(parts, key=str) == sorted(told(start, end), key=str)
    assert len(parts) > 50 * (MINUTE / finest)
    machine.stop()
