"""The heap of the tray's threads."""

from __future__ import annotations

import subprocess
import sys

import pytest

# The heaps beside the main one, which glibc puts at multiples of 64 MiB, while so many threads live.
COUNTED = """
import threading
from pathlib import Path

from gpuwatch_tray.app import tray_app

{before}
begun, over = threading.Barrier(9), threading.Event()

def work():
    kept = bytearray(3000)
    begun.wait()
    over.wait()

for _ in range(8):
    threading.Thread(target=work).start()
begun.wait()
places = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
print(sum(not int(place[0].split("-")[0], 16) % 2**26 and place[1] == "rw-p" for place in places))
over.set()
"""


def heaps(before):
    """How many there are of eight threads that began after `before`."""
    done = subprocess.run(
        [sys.executable, "-c", COUNTED.format(before=before)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heaps")
def test_threads_that_begin_later_share_one_heap():
    """Each would have one of its own, of which it uses a small part."""
    if heaps("") == 0:
        pytest.skip("another C library")
    assert heaps("tray_app._share_one_heap()") == 0
