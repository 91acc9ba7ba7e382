"""The table of the metrics: names, labels, and what each means. All names begin with `gpuwatch_`."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

PREFIX = "gpuwatch_"


class MetricKind(Enum):
    """What a metric's value does over time."""

    GAUGE = "gauge"
    INFO = "info"  # always 1: its labels are what it tells
    COUNTER = "counter"  # only rises, but for a restart of what counts


class Metric(Struct, frozen=True):
    """One metric; a row of it has a value for each of `labels`, in this order."""

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    about: str


GPU = ("gpu", "uuid")
PROCESS = ("gpu", "uuid", "pid", "user", "name", "type")

# fmt: off
_ALL = (
    Metric("build_info", MetricKind.INFO, ("version", "driver", "source", "users"),
        "The version of gpuwatch-tray, the driver's, where the readings come from, and how users are named."),
    Metric("reading_ok", MetricKind.GAUGE, (),
        "1 if the GPUs could be read. At 0 nothing is known of them, and no series of a GPU is there."),
    Metric("last_reading_timestamp_seconds", MetricKind.GAUGE, (),
        "When the GPUs were last read, by this machine's clock."),
    Metric("host_clock_timestamp_seconds", MetricKind.GAUGE, (),
        "What this machine's clock says now. Ages are differences to it."),
    Metric("alerts_evaluated", MetricKind.GAUGE, (),
        "1 if a tray or `watch` judges by the rules here. At 0 no alert series means that nobody looks."),
    Metric("user_list_complete", MetricKind.GAUGE, (),
        "1 if the owner of every process is known. At 0 the user series are the least that is in use."),
    Metric("gpus_visible", MetricKind.GAUGE, (), "GPUs that can be read."),
    Metric("gpus_expected", MetricKind.GAUGE, (),
        "GPUs that this machine is known to have, lost ones included."),
    # What a desk asks of every machine at each poll, so that it need not ask about each GPU.
    Metric("gpus_free", MetricKind.GAUGE, (), "GPUs of which it is known that no process computes on them."),
    Metric("free_gpu_memory_bytes", MetricKind.GAUGE, (), "Free memory of the one of those that has most."),
    Metric("hottest_gpu_celsius", MetricKind.GAUGE, (), "Temperature of the hottest GPU."),
    Metric("gpu_info", MetricKind.INFO, (*GPU, "name", "kind"),
        "A GPU, or a MIG device under its GPU's number."),
    Metric("gpu_free", MetricKind.GAUGE, GPU,
        "1 if no process computes on the GPU, MIG devices included. Absent if that is not known."),
    Metric("gpu_healthy", MetricKind.GAUGE, GPU,
        "0 if it cannot be read, has memory that is broken, wants a reset, or has a critical alert."),
    Metric("gpu_list_complete", MetricKind.GAUGE, GPU, "1 if all of its processes are known."),
    Metric("gpu_memory_used_bytes", MetricKind.GAUGE, GPU, "Memory in use."),
    Metric("gpu_memory_total_bytes", MetricKind.GAUGE, GPU, "Memory that it has."),
    Metric("gpu_utilization_ratio", MetricKind.GAUGE, GPU, "Share of the last moments in which it worked."),
    Metric("gpu_fan_ratio", MetricKind.GAUGE, GPU, "Speed of the fan, of its highest."),
    Metric("gpu_temperature_celsius", MetricKind.GAUGE, GPU, "Temperature."),
    Metric("gpu_power_watts", MetricKind.GAUGE, GPU, "Power that it draws."),
    Metric("gpu_power_limit_watts", MetricKind.GAUGE, GPU, "Power that it may draw."),
    Metric("gpu_energy_joules_total", MetricKind.COUNTER, GPU,
        "Energy drawn since the driver was loaded, by the GPU's own meter."),
    Metric("gpu_ecc_uncorrected_total", MetricKind.COUNTER, GPU,
        "Memory errors that could not be corrected, since the driver was loaded."),
    Metric("gpu_xid_total", MetricKind.COUNTER, (*GPU, "code"),
        "Errors that the driver reported, by NVIDIA's number, since this program was started."),
    Metric("gpu_processes", MetricKind.GAUGE, GPU, "Processes on it, those that draw included."),
    Metric("gpu_processes_omitted", MetricKind.GAUGE, GPU, "How many of them have no series of their own."),
    Metric("user_gpus", MetricKind.GAUGE, ("user",), "GPUs on which the user computes."),
    Metric("user_memory_bytes", MetricKind.GAUGE, ("user",), "Memory of the user's computing processes."),
    Metric("user_oldest_start_timestamp_seconds", MetricKind.GAUGE, ("user",),
        "Start of the user's oldest computing process, by this machine's clock."),
    Metric("process_memory_bytes", MetricKind.GAUGE, PROCESS, "Memory of a process on a GPU."),
    Metric("process_start_timestamp_seconds", MetricKind.GAUGE, PROCESS,
        "Start of a process, by this machine's clock."),
    Metric("alert", MetricKind.GAUGE, ("rule", "severity", "gpu"),
        "1 while a rule of this machine fires. Absent if none does, or nobody looks: see alerts_evaluated."),
)
# fmt: on
METRICS = {metric.name: metric for metric in _ALL}
