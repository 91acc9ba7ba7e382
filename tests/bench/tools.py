"""
One tool's steady polls, for `compare`: `tools.py ours|whole|bare|nvitop|gpustat`.

Prints a line of JSON when it is warm; then, for each line that it is given, polls so many times and prints
another one; ends with its input. It runs under the tool's own Python, so it imports nothing but the tool.
With `once` behind the name it polls once and ends.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

WARM_UP = 2


def ours():
    """A snapshot of everything: what nvitop and gpustat give, with what the rules need."""
    from gpuwatch_tray.sources.nvml import NvmlSource

    return NvmlSource().read


def whole():
    """A poll of the tray: the snapshot, every rule, the alerts, and the state on disk."""
    from gpuwatch_tray.alerts import RoutingPolicy
    from gpuwatch_tray.common import host
    from gpuwatch_tray.engine import Engine, HostRules, Policy
    from gpuwatch_tray.model import Limits
    from gpuwatch_tray.notify.render import MailIdentity
    from gpuwatch_tray.sources.nvml import NvmlSource
    from gpuwatch_tray.store import Store

    policy = Policy(Limits(gpu_limit=8), RoutingPolicy(mails=True))
    store = Store(Path(tempfile.mkdtemp(dir=os.environ["BENCH"])), "box", host.uptime)
    evaluator = Engine(HostRules(), store, policy, MailIdentity("box", "ada", ""), host.now)
    read = NvmlSource().read
    return lambda: evaluator.evaluate(read())


def bare():
    """What any watcher of these values must ask at each poll, and nothing else."""
    import pynvml  # what every tool builds on

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


def resident():
    """Bytes that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main():
    began = time.perf_counter()
    poll = {"ours": ours, "whole": whole, "bare": bare, "nvitop": nvitop, "gpustat": gpustat}[sys.argv[1]]()
    imported = time.perf_counter() - began
    if sys.argv[2:] == ["once"]:
        poll()
        return
    for _ in range(WARM_UP):
        poll()
    print(json.dumps({"import": imported}), flush=True)
    for line in sys.stdin:
        walls, cpus = [], []
        for _ in range(int(line)):
            wall, cpu = time.perf_counter(), time.process_time()
            poll()
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        print(json.dumps({"walls": walls, "cpus": cpus, "rss": resident()}), flush=True)


if __name__ == "__main__":
    main()
