"""The day that a demo begins with."""

from __future__ import annotations

import pytest

from gpuwatch_tray.app import demo_past
from gpuwatch_tray.app.recorder import Recorder
from gpuwatch_tray.history import Sampler, alert_marks
from gpuwatch_tray.history.sample_reader import read_samples
from gpuwatch_tray.history.sample_store import SampleStore
from gpuwatch_tray.history.usage import GroupBy, usage
from gpuwatch_tray.model import Limits, Phase, UseLimits
from gpuwatch_tray.model.units import DAY, HOUR
from gpuwatch_tray.sources import simulated
from gpuwatch_tray.sources.simulated_day import simulated_day
from gpuwatch_tray.store import Store
from tests.support.fakes import START, Clock

LIMITS = simulated.demo_limits(Limits(max_etime=simulated.MAX_ETIME, use=UseLimits(intruder=False)))
END = START + 12.0


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of a demo whose recorder has come to its first flush."""
    folder = tmp_path_factory.mktemp("demo")
    past = demo_past.past_minutes(simulated_day(END, "ada"), LIMITS)
    recorder = Recorder(SampleStore(folder, "box"), Sampler(LIMITS, 15.0), Clock(END).instant, past)
    recorder.start()
    assert recorder.flush(60)
    assert recorder.trouble is None
    yield folder
    assert recorder.stop(30)


def test_the_day_is_on_file_by_the_minute(written):
    """Both GPUs from a day ago until now, with one gap in which the machine slept, and nothing after now."""
    found = read_samples(written, "box", END - DAY, END, END)
    assert [gpu.name for gpu in found.gpus] == ["Simulated RTX 4090"] * 2
    for samples in found.samples.values():
        ends = [sample.at + sample.seconds for sample in samples]
        starts = [sample.at for sample in samples]
        assert starts[0] < END - DAY + 180
        assert END - 120 < ends[-1] <= END
        gaps = [start - end for end, start in zip(ends, starts[1:], strict=False) if start > end]
        assert len(gaps) == 1
        assert 0.4 * HOUR < gaps[0] < 0.6 * HOUR


def test_the_past_of_a_demo_names_no_process_that_can_be_real(written):
    """Its PIDs are above the highest that Linux gives, and none is one of the demo's present."""
    found = read_samples(written, "box", END - DAY, END, END)
    pids = {run.pid for run in found.runs}
    present = {process.pid for process in simulated.simulate(50.0, END, "ada", HOUR).processes}
    assert len(pids) == len(found.runs) > 5
    assert min(pids) > 2**22
    assert not pids & present


def test_three_people_shared_it(written):
    """The sums of who used what are those of the product, from the same samples."""
    found = read_samples(written, "box", END - DAY, END, END)
    assert {row.who for row in usage(found, GroupBy.USER).rows} == {"ada", "alice", "bob"}


def test_its_alerts_are_those_of_the_rules_and_all_over(tmp_path):
    """Each rule of the demo has fired, long enough ago that the demo's own alerts do not come and go."""
    with_past = demo_past.past_commit(LIMITS, "box", "ada", END)
    store = Store(tmp_path, "box", keeper=True)
    store.commit(with_past)
    past, _ = store.history()
    assert store.saved_state().alerts == store.saved_state().ended == ()
    store.close()
    assert {alert.rule for alert in past} == {"gpu_limit", "max_etime", "temperature"}
    assert all(alert.phase is Phase.RESOLVED for alert in past)
    assert all(alert.resolved.wall < END - HOUR for alert in past)
    assert len({alert.id for alert in past}) == len(past)
    uuids = ["GPU-51317a7e-0000-4000-8000-000000000000", "GPU-51317a7e-0000-4000-8000-000000000001"]
    marks = alert_marks(past, uuids, (), END - DAY, END)
    assert [mark.uuids for mark in marks if mark.rule == "temperature"] == [(uuids[1],)]


@pytest.mark.parametrize("limits", [Limits(), Limits(gpu_limit=None, max_etime=None)])
def test_limits_that_are_off_or_wide_have_no_alert_of_their_rule(limits):
    """The rules judge the day; nothing is told that they would not tell."""
    found = demo_past.past_alerts(simulated_day(END, "ada", 600), limits, "box")
    assert "max_etime" not in {alert.rule for alert in found} or limits.max_etime is not None
    assert "gpu_limit" not in {alert.rule for alert in found}
