"""
One tool's steady polls, for `compare`: `tools.py ours|bare|nvitop|gpustat POLLS`.

Prints a line of JSON when it is warm, waits for a line, polls, and prints another one. It runs under the
tool's own Python, so it imports nothing but the tool.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time

WARM_UP = 2


def ours():
    from gpuwatch_tray.sources.nvml import NvmlSource

    return NvmlSource().read


def bare():
    """What any watcher of these values must ask at each poll, and nothing else."""
    import pynvml  # noqa: TID251  # what every tool builds on

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]

    def poll():
        for handle in handles:
            pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
            pynvml.nvmlDeviceGetUtilizationRates(handle)
            pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)
            pynvml.nvmlDeviceGetPowerUsage(handle)
            pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
            pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle)
            pynvml.nvmlDeviceGetMPSComputeRunningProcesses_v3(handle)

    return poll


def nvitop():
    from nvitop import take_snapshots

    return take_snapshots


def gpustat():
    import gpustat

    return gpustat.new_query


def main():
    tool, polls = sys.argv[1], int(sys.argv[2])
    began = time.perf_counter()
    poll = {"ours": ours, "bare": bare, "nvitop": nvitop, "gpustat": gpustat}[tool]()
    imported = time.perf_counter() - began
    for _ in range(WARM_UP):
        poll()
    print(json.dumps({"import": imported}), flush=True)
    sys.stdin.readline()
    walls, cpus = [], []
    for _ in range(polls):
        wall, cpu = time.perf_counter(), time.process_time()
        poll()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        json.dumps({"wall": statistics.median(walls), "cpu": statistics.median(cpus), "rss": rss}), flush=True
    )


if __name__ == "__main__":
    main()
