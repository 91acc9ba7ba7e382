"""
The exporters of GPU metrics that a lab may have, and how far the metrics of each go.

Besides our own: dcgm-exporter (NVIDIA, etc/default-counters.csv), nvitop-exporter (its exporter.py; the units
stand at the ends of its names) and nvidia_gpu_exporter (utkuozdemir, docs/METRICS.md). What one does not have
is not guessed: it stays unknown, and `lacks` names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.i18n import N_, _

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

IDLE = "10m"  # for how long a GPU must have been idle to look free
IDLE_MEMORY = 0.05  # of the memory, at most: a driver and a display take some


class Exporter(Struct, frozen=True):
    """
    One exporter. `queries` are PromQL with $JOB, $ME and $NAMES, which give a number an instance.

    The one of `reading` is there for a host whose GPUs could be read. It is the wall time of the last one,
    or a smaller number that is another one after each reading, or 0 where nothing tells when that was.
    """

    name: str
    prefix: str  # of its metrics
    sign: str  # a metric that it always has
    queries: Mapping[str, str]
    lacks: tuple[str, ...] = ()  # what it cannot tell, for people
    # GPUs that are free, or look so, with $BYTES ($MIB) of memory free; empty where it cannot tell.
    roomy: str = ""
    looks_roomy: str = ""


def _looking(used: str, total: str, use: str, labels: str) -> str:
    """Ask for the GPUs with next to no memory in use that have not computed for ten minutes."""
    idle = f"max by ({labels}) (max_over_time({use}[{IDLE}])) == 0"
    # Seen for all of that time: a GPU, or an exporter, that has just come has no past.
    seen = f"{use} offset {IDLE}"
    small = f"max by ({labels}) ({used}) / max by ({labels}) ({total}) < {IDLE_MEMORY}"
    return f"({small}) and on ({labels}) ({idle}) and on ({labels}) {seen}"


def _looks_free(used: str, total: str, use: str, labels: str) -> str:
    """Count those GPUs; a host of which none looks free has a row as well."""
    looking = _looking(used, total, use, labels)
    return f"count by (instance) ({looking}) or on (instance) (0 * count by (instance) ({use}))"


def _roomy(free: str, used: str, total: str, labels: str, least: str = "$BYTES") -> str:
    """Count the GPUs of `free` with so much memory free; a host without any has no row."""
    room = f"min by ({labels}) ({total}) - on ({labels}) max by ({labels}) ({used}) >= {least}"
    return f"count by (instance) (({room}) and on ({labels}) ({free}))"


# Of two targets with one name, as of two that are scraped twice, the worse counts in each question.
_MINE = "sum by (instance) (max by (instance, user) (gpuwatch_user_gpus{$JOB,user=~$NAMES}))"
# 0 is known only where the owner of every process is told.
_NONE_MINE = "(0 * (min by (instance) (gpuwatch_user_list_complete{$JOB}) == 1))"

GPUWATCH = Exporter(
    "gpuwatch-tray",
    "gpuwatch_",
    "gpuwatch_build_info",
    {
        "reading": "min by (instance) (gpuwatch_last_reading_timestamp_seconds{$JOB})"
        " and on (instance) (min by (instance) (gpuwatch_reading_ok{$JOB}) == 1)",
        "blind": "min by (instance) (gpuwatch_reading_ok{$JOB}) == 0",
        "gpus": "min by (instance) (gpuwatch_gpus_visible{$JOB})",
        "expected": "max by (instance) (gpuwatch_gpus_expected{$JOB})",
        "free": "min by (instance) (gpuwatch_gpus_free{$JOB})",
        "largest_free": "min by (instance) (gpuwatch_free_gpu_memory_bytes{$JOB})",
        "mine": f"{_MINE} or on (instance) {_NONE_MINE}",
        "oldest_start": "min by (instance) (gpuwatch_user_oldest_start_timestamp_seconds{$JOB,user=~$NAMES})",
        "clock": "max by (instance) (gpuwatch_host_clock_timestamp_seconds{$JOB}"
        " - timestamp(gpuwatch_host_clock_timestamp_seconds{$JOB}))",
        "hottest": "max by (instance) (gpuwatch_hottest_gpu_celsius{$JOB})",
    },
    roomy=_roomy(
        "min by (instance, gpu, uuid) (gpuwatch_gpu_free{$JOB}) == 1 and on (instance, gpu, uuid)"
        " min by (instance, gpu, uuid) (gpuwatch_gpu_list_complete{$JOB}) == 1",
        "gpuwatch_gpu_memory_used_bytes{$JOB}",
        "gpuwatch_gpu_memory_total_bytes{$JOB}",
        "instance, gpu, uuid",
    ),
)
_DCGM_MEMORY = (
    "DCGM_FI_DEV_FB_USED{$JOB}",
    "(DCGM_FI_DEV_FB_USED{$JOB} + DCGM_FI_DEV_FB_FREE{$JOB})",
    "DCGM_FI_DEV_GPU_UTIL{$JOB}",
    "instance, UUID",
)
DCGM = Exporter(
    "dcgm-exporter",
    "DCGM_FI_",
    "DCGM_FI_DEV_GPU_UTIL",
    {
        "reading": "0 * count by (instance) (DCGM_FI_DEV_GPU_UTIL{$JOB})",
        "gpus": "count by (instance) (count by (instance, UUID) (DCGM_FI_DEV_GPU_UTIL{$JOB}))",
        "hottest": "max by (instance) (DCGM_FI_DEV_GPU_TEMP{$JOB})",
        "looks_free": _looks_free(*_DCGM_MEMORY),
    },
    (
        N_("which processes run, and whose: free GPUs and yours are unknown"),
        N_("how many GPUs a host should have: lost ones are not noticed"),
        N_("when it last read the GPUs"),
    ),
    looks_roomy="count by (instance) (min by (instance, UUID) (DCGM_FI_DEV_FB_FREE{$JOB}) >= $MIB"
    f" and on (instance, UUID) ({_looking(*_DCGM_MEMORY)}))",
)
_NVITOP_MEMORY = ("gpu_memory_used_MiB{$JOB}", "gpu_memory_total_MiB{$JOB}")
_NVITOP_USE = ("gpu_utilization_Percentage{$JOB}", "instance, uuid")
NVITOP = Exporter(
    "nvitop-exporter",
    "gpu_",
    "gpu_utilization_Percentage",
    {
        # It serves its last values for ever; the host's uptime, read with the GPUs, stands still then.
        "reading": "min by (instance) (host_uptime_Second{$JOB}) and on (instance)"
        " gpu_utilization_Percentage{$JOB}",
        # What it cannot read it serves as no number, which is not above 0.
        "gpus": "count by (instance) (count by (instance, uuid) (gpu_memory_total_MiB{$JOB} > 0))",
        "hottest": "max by (instance) (gpu_temperature_C{$JOB})",
        # None is no 0: a process whose owner it cannot read is left out.
        "mine": "count by (instance) (count by (instance, uuid) (process_gpu_memory_MiB{$JOB,username=$ME}))",
        "looks_free": _looks_free(*_NVITOP_MEMORY, *_NVITOP_USE),
    },
    (
        N_("which processes compute, and whether it lists all of them: free GPUs are unknown"),
        N_("how many GPUs a host should have: lost ones are not noticed"),
        N_("on which hosts you have no process, only on which you have some"),
    ),
    looks_roomy=_roomy(_looking(*_NVITOP_MEMORY, *_NVITOP_USE), *_NVITOP_MEMORY, "instance, uuid", "$MIB"),
)
_SMI_MEMORY = ("nvidia_smi_memory_used_bytes{$JOB}", "nvidia_smi_memory_total_bytes{$JOB}")
_SMI_USE = ("nvidia_smi_utilization_gpu_ratio{$JOB}", "instance, uuid")
NVIDIA_SMI = Exporter(
    "nvidia_gpu_exporter",
    "nvidia_smi_",
    "nvidia_smi_utilization_gpu_ratio",
    {
        "reading": "min by (instance) (nvidia_smi_last_collect_success_timestamp_seconds{$JOB})"
        " and on (instance) (min by (instance) (nvidia_smi_last_collect_success{$JOB}) == 1)",
        "blind": "min by (instance) (nvidia_smi_last_collect_success{$JOB}) == 0",
        "gpus": "count by (instance) (count by (instance, uuid) (nvidia_smi_utilization_gpu_ratio{$JOB}))",
        "hottest": "max by (instance) (nvidia_smi_temperature_gpu{$JOB})",
        # With --collect.compute-apps.
        "free": "sum by (instance) ((max by (instance, uuid) (nvidia_smi_compute_apps{$JOB}) == bool 0)"
        " and on (instance) (min by (instance) (nvidia_smi_compute_apps_last_collect_success{$JOB}) == 1))",
        "looks_free": _looks_free(*_SMI_MEMORY, *_SMI_USE),
    },
    (
        N_("whose the processes are: yours are unknown, and free GPUs too without --collect.compute-apps"),
        N_("how many GPUs a host should have: lost ones are not noticed"),
    ),
    roomy=_roomy(
        "max by (instance, uuid) (nvidia_smi_compute_apps{$JOB}) == 0 and on (instance)"
        " (min by (instance) (nvidia_smi_compute_apps_last_collect_success{$JOB}) == 1)",
        *_SMI_MEMORY,
        "instance, uuid",
    ),
    looks_roomy=_roomy(_looking(*_SMI_MEMORY, *_SMI_USE), *_SMI_MEMORY, "instance, uuid"),
)
EXPORTERS = (GPUWATCH, DCGM, NVITOP, NVIDIA_SMI)  # a host that has two is read by the first


def found_exporters(names: Iterable[str]) -> tuple[Exporter, ...]:
    """Return the exporters that have one of these metrics; our own where there is none."""
    present = set(names)
    return tuple(exporter for exporter in EXPORTERS if exporter.sign in present) or (GPUWATCH,)


def missing_notes(exporters: tuple[Exporter, ...]) -> tuple[str, ...]:
    """Say for each exporter that is not ours what it does not tell."""
    text = _("{exporter} does not say {what}")
    return tuple(
        text.format(exporter=exporter.name, what=_(what)) for exporter in exporters for what in exporter.lacks
    )
