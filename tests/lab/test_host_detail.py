"""One host in detail, of whatever its exporter or anybody else says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.lab.answers import Sample
from gpuwatch_tray.lab.host_detail import snapshot_of
from gpuwatch_tray.model import Missing

GPU = {"gpu": "0", "uuid": "GPU-a"}
PROCESS = GPU | {"pid": "7", "user": "ada", "name": "python", "type": "C"}


def sample(metric, value=1.0, **labels):
    return Sample({"__name__": f"gpuwatch_{metric}", "instance": "h1:9836", **labels}, 1000.0, value)


def told(*samples, me="ada"):
    return snapshot_of("h1", [sample("reading_ok"), *samples], me)


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
    assert gpu.process_problem == "3 more processes are not told"
    (gpu,) = told(whole, sample("gpu_processes_omitted", float("nan"), **GPU)).gpus
    assert gpu.process_problem is None


def test_a_mig_device_is_a_part_of_the_gpu_with_its_number():
    """Both have one index; the device names the GPU."""
    parts = told(
        sample("gpu_info", gpu="0", uuid="GPU-a", name="A100", kind="gpu"),
        sample("gpu_info", gpu="0", uuid="MIG-b", name="A100 1g", kind="mig"),
    ).gpus
    assert [(gpu.uuid, gpu.physical) for gpu in parts] == [("GPU-a", ""), ("MIG-b", "GPU-a")]


def test_age_is_by_the_hosts_own_clock():
    """How far that is off does not matter; without it the age is unknown."""
    start = sample("process_start_timestamp_seconds", 400.0, **PROCESS)
    (process,) = told(start, sample("host_clock_timestamp_seconds", 1000.0)).processes
    assert (process.elapsed, process.mine, process.identity) == (600.0, True, "400")
    (process,) = told(start).processes
    assert isinstance(process.elapsed, Missing)


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
        "user_gpus",
        "x",
    ]
)


@given(st.lists(st.tuples(metrics, st.floats(), labels), max_size=8))
def test_no_answer_breaks_it(rows):
    """Whatever labels and numbers come, a snapshot comes of it."""
    snapshot = told(*(sample(metric, value, **found) for metric, value, found in rows))
    assert snapshot.problem is None
