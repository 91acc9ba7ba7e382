"""Claims and the queue, between real processes: a GPU is taken once, and a dead process holds nothing."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

from gpuwatch_tray.runs.gpu_claims import GpuClaims
from tests.support.timing import wait_until

HOLDER = """
import sys, time
from pathlib import Path
from gpuwatch_tray.runs.gpu_claims import GpuClaims
claims = GpuClaims(Path(sys.argv[1]))
claims.join_queue()
claims.take(sys.argv[2:])
print("holds", flush=True)
time.sleep(600)
"""


@contextmanager
def another(state, *uuids):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, state, *uuids], stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout.readline() == "holds\n"
            yield running
        finally:
            running.kill()


def test_a_gpu_is_taken_once(tmp_path):
    """What another has is seen as claimed, and all that are wanted are taken or none."""
    claims = GpuClaims(tmp_path)
    with another(tmp_path, "GPU-b"):
        assert claims.claimed(["GPU-a", "GPU-b"]) == {"GPU-b"}
        assert not claims.take(["GPU-a", "GPU-b"])
        assert GpuClaims(tmp_path).claimed(["GPU-a"]) == frozenset()
        assert claims.take(["GPU-a"])


def test_first_come_first_served(tmp_path):
    """Who came later waits, also for what is free; once the first is dead, its place is nobody's."""
    claims = GpuClaims(tmp_path)
    with another(tmp_path) as first:
        claims.join_queue()
        assert not claims.is_first()
        first.kill()
        first.wait(60)
        wait_until(claims.is_first, "the turn")
    assert [path.name for path in (tmp_path / "claims" / "queue").iterdir()] == ["00000002"]
    claims.leave_queue()
    assert list((tmp_path / "claims" / "queue").iterdir()) == []
    assert not claims.is_first()


def test_a_killed_process_leaves_no_claim(tmp_path):
    """After kill -9 the GPU is free for the next."""
    with another(tmp_path, "GPU-a"):
        pass
    assert GpuClaims(tmp_path).take(["GPU-a"])
