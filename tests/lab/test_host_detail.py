"""One host in detail, of whatever its exporter or anybody else says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.lab.answers import Sample
from gpuwatch_tray.lab.host_detail import snapshot_of
from gpuwatch_tray.lab.host_states import READING_AGE
from gpuwatch_tray.lab.promql import SCRAPED
from gpuwatch_tray.model import Missing

GPU = {"gpu": "0", "uuid": "GPU-a"}
PROCESS = GPU | {"pid": "7", "user": "ada", "name": "python", "type": "C"}


NOW = 1000.0  # of the question, here and at the server


def sample(metric, value=1.0, **labels):
    return Sample({"__name__": f"gpuwatch_{metric}", "instance": "h1:9836", **labels}, NOW, value)


def told(*samples, me="ada", now=NOW):
    return snapshot_of("h1", [sample("reading_ok"), *samples], me, now)


def scraped(at):
    return Sample({"instance": "h1:9836", SCRAPED: "1"}, NOW, at)


def clocks(reading, clock=None):
    """What the host says of its time."""
    rows = [sample("last_reading_timestamp_seconds", reading)]
    return [*rows, *([] if clock is None else [sample("host_clock_timestamp_seconds", clock)])]


def test_what_is_not_told_is_unknown_and_a_list_is_whole_only_where_that_is_told():
    """A GPU with nothing but its memory has no use, no heat, and a list that may lack some."""
    (gpu,) = told(sample("gpu_memory_used_bytes", 5.0, **GPU)).gpus
    assert (gpu.memory_used, isinstance(gpu.utilisation, Missing)) == (5, True)
    assert gpu.process_problem is not None
    (gpu,) = told(sample("gpu_list_complete", **GPU), sample("gpu_memory_used_bytes", 5.0, **GPU)).gpus
    assert gpu.process_problem is None


def test_processes_that_are_left_out_make_a_list_that_is_not_whole():
    """How many is told; what is no number is not."""
    whole = sample("gpu_list_complete", **GPU)
    (gpu,) = told(whole, sample("gpu_processes_omitted", 3.0, **GPU)).gpus
    assert gpu.process_problem == "3 more processes are not listed"
    (gpu,) = told(whole, sample("gpu_processes_omitted", float("nan"), **GPU)).gpus
    assert gpu.process_problem is None


def test_a_mig_device_is_a_part_of_the_gpu_with_its_number():
    """Both have one index; the device names the GPU."""
    parts = told(
        sample("gpu_info", gpu="0", uuid="GPU-a", name="A100", kind="gpu"),
        sample("gpu_info", gpu="0", uuid="MIG-b", name="A100 1g", kind="mig"),
    ).gpus
    assert [(gpu.uuid, gpu.physical) for gpu in parts] == [("GPU-a", ""), ("MIG-b", "GPU-a")]


def test_age_is_by_the_hosts_own_clock_and_of_the_reading():
    """How far that is off does not matter, nor how long ago it was asked; without a time it is unknown."""
    start = sample("process_start_timestamp_seconds", 400.0, **PROCESS)
    for here in (NOW, NOW - 5000.0):
        snapshot = told(start, scraped(990.0), *clocks(1505.0, 1510.0), now=here)
        (process,) = snapshot.processes
        assert (process.elapsed, process.mine, process.identity) == (1105.0, True, "400")
        assert here - snapshot.at == 15.0  # asked 10 s ago, of a reading that was 5 s old
        assert snapshot.at - process.started == process.elapsed  # both by our clock
    (process,) = told(start).processes
    assert isinstance(process.elapsed, Missing)


def test_what_is_read_from_a_file_has_no_clock():
    """The age counts from the reading, and its time is as far back as the server saw it; by our clock."""
    start = sample("process_start_timestamp_seconds", 400.0, **PROCESS)
    snapshot = told(start, scraped(990.0), *clocks(950.0))
    assert (snapshot.problem, snapshot.at, snapshot.processes[0].elapsed) == (None, 950.0, 550.0)
    for off in (500.0, 1500.0):  # its clock is off, or the file is old: whether it moves on the poll has seen
        snapshot = told(start, scraped(990.0), *clocks(off))
        assert (snapshot.problem, snapshot.at) == (None, 990.0)


def test_an_old_reading_is_told_as_old():
    """Of an exporter that goes on telling it, or of a host that was not asked for long: nothing is known."""
    for rows in ([scraped(999.0), *clocks(5000.0, 5000.0 + 200)], [scraped(800.0), *clocks(5000.0, 5001.0)]):
        snapshot = told(*rows, sample("gpu_list_complete", **GPU))
        assert "it last read its GPUs 3 min ago" in str(snapshot.problem)
        assert snapshot.gpus == ()
        assert snapshot.at < NOW - READING_AGE


def test_without_an_owner_it_is_nobodys():
    """Neither mine nor another's, where owners are not told."""
    (process,) = told(sample("process_memory_bytes", 1.0, **(PROCESS | {"user": ""}))).processes
    assert (process.mine, isinstance(process.user, Missing)) == (None, True)


labels = st.dictionaries(
    st.sampled_from(["gpu", "uuid", "pid", "user", "name", "type", "kind"]), st.text(max_size=12), max_size=7
)
metrics = st.sampled_from(
    [
        "gpu_info",
        "gpu_processes_omitted",
        "gpu_fan_ratio",
        "process_start_timestamp_seconds",
        "last_reading_timestamp_seconds",
        "host_clock_timestamp_seconds",
        "user_gpus",
        "x",
    ]
)


@given(st.lists(st.tuples(metrics, st.floats(), labels), max_size=8), st.floats())
def test_no_answer_breaks_it(rows, at):
    """Whatever labels and numbers come, a snapshot comes of it, and none of what may be old."""
    snapshot = told(scraped(at), *(sample(metric, value, **found) for metric, value, found in rows))
    assert (snapshot.problem is None) == (NOW - snapshot.at <= READING_AGE)
