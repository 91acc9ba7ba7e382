"""
What `when run` costs a command. Prints a table; asserts no figure.

    .venv/bin/python -m tests.bench.run_overhead [ROUNDS [MEBIBYTES]]

The start: the milliseconds until the command runs and until all has ended, for `true`, bare and through
`when run`; beside them those of the interpreter alone. The output: MEBIBYTES (1000) of lines of a log, as
fast as they are read (seconds) and at 100 MB/s (the CPU of all). The least of ROUNDS (10) each.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.installed import Installed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


ROUNDS, MEBIBYTES = 10, 1000
RATE = 100e6  # bytes a second
CLOCK = "import time; print(time.time())"
# It tells on its standard error how long it took to get rid of its output.
WRITER = """
import os, sys, time
lines = b"step 1234 loss 0.4321 lr 3e-4 12.3 it/s eta 1:23:45\\n" * 20165
left, rate = int(sys.argv[1]), float(sys.argv[2])
began = time.monotonic()
for n in range(left):
    view = memoryview(lines)
    while view:
        view = view[os.write(1, view):]
    if rate:
        time.sleep(max(0.0, began + (n + 1) * len(lines) / rate - time.monotonic()))
print(time.monotonic() - began, file=sys.stderr)
"""


def cpu() -> float:
    """The seconds of CPU of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def least(rounds: int, measure: Callable[[], float]) -> float:
    """The least of several: what else runs on the machine only adds."""
    return min(measure() for _ in range(rounds))


class Bench:
    """An installation without mail and without a tray."""

    def __init__(self, folder: Path) -> None:
        self.installed = Installed(folder)
        self.installed.configure(TO_EMAIL="")
        self.through = (str(self.installed.script), "when", "run", "--")

    def run(self, words: Sequence[str], **more: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(words, env=self.installed.environment, check=True, **more)  # type: ignore[call-overload,no-any-return]

    def whole(self, *words: str) -> float:
        """Milliseconds until all has ended."""
        began = time.monotonic()
        self.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return (time.monotonic() - began) * 1000

    def until_start(self, *before: str) -> float:
        """Milliseconds until the command's first line of code runs."""
        began = time.time()
        words = (*before, sys.executable, "-S", "-E", "-c", CLOCK)
        said = self.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        return (float(said) - began) * 1000

    def spent(self, *words: str) -> float:
        """Milliseconds of CPU."""
        before = cpu()
        self.whole(*words)
        return (cpu() - before) * 1000

    def output(self, before: Sequence[str], mebibytes: int, rate: float) -> tuple[float, float]:
        """Seconds in which the output was taken, and seconds of CPU of all."""
        used = cpu()
        reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        words = (*before, sys.executable, "-c", WRITER, str(mebibytes), str(rate))
        said = self.run(words, stdout=reader.stdin, stderr=subprocess.PIPE).stderr
        assert reader.stdin is not None
        reader.stdin.close()
        reader.wait()
        seconds = next(float(line) for line in said.splitlines() if line[:1].isdigit())
        return seconds, cpu() - used


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    mebibytes = int(sys.argv[2]) if len(sys.argv) > 2 else MEBIBYTES
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        ways = {"bare": (), "when run": bench.through}
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, the least of {rounds}")
        print(
            f"{'':10}{'starts':>12}{'ends':>12}{'CPU':>12}"
            f"{'full speed':>14}{'at 100 MB/s':>14}{'CPU then':>10}"
        )
        interpreter = (sys.executable, "-c", "pass")
        ended, used = (least(rounds, lambda how=how: how(*interpreter)) for how in (bench.whole, bench.spent))
        print(f"{'python':10}{'':>12}{ended:9.1f} ms{used:9.1f} ms")
        for name, before in ways.items():
            started = least(rounds, lambda before=before: bench.until_start(*before))
            ended = least(rounds, lambda before=before: bench.whole(*before, "true"))
            used = least(rounds, lambda before=before: bench.spent(*before, "true"))
            fast = min(bench.output(before, mebibytes, 0.0) for _ in range(3))[0]
            paced = min((bench.output(before, mebibytes, RATE) for _ in range(3)), key=lambda pair: pair[1])
            share = 100 * paced[1] / paced[0]
            print(
                f"{name:10}{started:9.1f} ms{ended:9.1f} ms{used:9.1f} ms"
                f"{fast:12.2f} s{paced[0]:12.2f} s{share:8.1f} %"
            )


if __name__ == "__main__":
    main()
