"""
What a lab by ssh costs the desk: `python -m tests.bench.lab_by_ssh [HOSTS]`, over a real sshd for each.

Each machine answers with the list of 8 GPUs and 24 processes. CPU time alone is told: it means the same on a
busy computer.
"""

from __future__ import annotations

import json
import resource
import sys
import time

from gpuwatch_tray.common.proclist import listing_json
from gpuwatch_tray.lab.ssh_hosts import SshHosts
from gpuwatch_tray.model import COMPUTING, Gpu, GpuProcess, Snapshot
from gpuwatch_tray.settings import LabSettings
from tests.engine.lab_world import LabWorld
from tests.support.sshd import SshLab

READS = 5


def listing() -> str:
    """Return what `ps --all --json` prints of a busy machine."""
    gpus = [Gpu(n, f"GPU-{n}", "NVIDIA H100", 2**30, 2**36, 50, 60, 300.0, 700.0) for n in range(8)]
    kinds = frozenset(COMPUTING)
    processes = [
        GpuProcess(
            1000 + n, n % 8, kinds, 2**30, "ada", n < 4, 1.7e9, 60.0, "", "/home/ada", ("python",), "python"
        )
        for n in range(24)
    ]
    snapshot = Snapshot("nvml", time.time(), tuple(gpus), tuple(processes))
    return json.dumps(listing_json(snapshot, processes, with_users=True))


def cpu() -> tuple[float, float]:
    """Return the CPU time (s) of this process and of its ended children."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own, children = (used.ru_utime + used.ru_stime for used in both)
    return own, children


def main(count: int) -> None:
    """Measure the first read, the next ones, and the judging."""
    with SshLab() as lab:
        text = listing()
        (lab.folder / "list.json").write_text(text)
        for n in range(count):
            lab.add(f"h{n}", f"#!/bin/sh\nexec cat {lab.folder}/list.json\n")
        source = SshHosts(
            LabSettings(hosts=tuple(lab.names), ssh=lab.ssh), "ada", folder=lab.folder / "control"
        )
        for name, reads in (("the first read", 1), ("a later read", READS)):
            before = cpu()
            for _ in range(reads):
                view = source.read()
            used = [(after - start) / reads for start, after in zip(before, cpu(), strict=True)]
            print(f"{name} of {count} machines: {used[0] * 1e3:.0f} ms here, {used[1] * 1e3:.0f} ms in ssh")
        source.close()
        world = LabWorld()
        world.poll(view)
        started = time.process_time()
        for _ in range(READS):
            world.poll(view)
        judging = (time.process_time() - started) / READS
        print(f"judging them: {judging * 1e3:.0f} ms; a list has {len(text)} bytes")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
