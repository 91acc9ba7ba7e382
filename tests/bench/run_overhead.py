"""
What `when run` costs a command. Prints two tables; asserts no figure.

    .venv/bin/python -m tests.bench.run_overhead [ROUNDS [MEBIBYTES]]

The start: milliseconds from the start of the whole until the command runs (`date`): bare, through an
interpreter that does nothing but `os.execvp`, and through `when run`, in turn; least and median of ROUNDS
(20). Then the milliseconds until all has ended, and of processor, for `true`.

The output: MEBIBYTES (1000) of lines of a log to a pipe, a file and a terminal: the seconds as fast as it is
taken, bare and through `when run` in turn. Then at 100 MB/s: how much longer it took than bare, and the share
of a core that passing it on takes, without what start and end take.
"""

from __future__ import annotations

import ctypes
import os
import pty
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.installed import Installed

if TYPE_CHECKING:
    from collections.abc import Sequence


ROUNDS, MEBIBYTES, PAIRS = 20, 1000, 3
RATE = 100e6  # bytes a second
TERMINAL_SHARE = 20  # a terminal is slower: so much less goes to it
CLOCK = ("date", "+%s.%N")  # small: it starts in a millisecond
EXEC = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"
# It writes into a file how long it took to get rid of its output, and its own seconds of processor.
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
open(sys.argv[3], "w").write(f"{time.monotonic() - began} {time.process_time()}")
"""
SUBREAPER = 36  # prctl(2): who is left behind becomes ours, and its processor time too


def cpu() -> float:
    """The seconds of processor of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def wait_for_all() -> None:
    """Wait for those that were left behind, such as what passes on the output."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


class Bench:
    """An installation without mail and without a tray."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.installed = Installed(folder)
        self.installed.configure(TO_EMAIL="")
        run = (str(self.installed.script), "when", "run", "--")
        self.ways: dict[str, tuple[str, ...]] = {
            "bare": (),
            "execvp": (sys.executable, "-c", EXEC),
            "when run": run,
        }

    def run(self, words: Sequence[str], **more: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(words, env=self.installed.environment, check=True, **more)  # type: ignore[call-overload,no-any-return]

    def until_start(self, before: Sequence[str]) -> float:
        """Milliseconds until the command runs."""
        began = time.time()
        said = self.run((*before, *CLOCK), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        return (float(said) - began) * 1000

    def whole(self, before: Sequence[str]) -> tuple[float, float]:
        """Milliseconds until `true` has ended and all is told, and of processor."""
        used, began = cpu(), time.monotonic()
        self.run((*before, "true"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ended = time.monotonic()
        wait_for_all()
        return (ended - began) * 1000, (cpu() - used) * 1000

    def output(self, where: str, before: Sequence[str], mebibytes: int, rate: float) -> tuple[float, float]:
        """Seconds in which the output was taken, and seconds of processor that all else used meanwhile."""
        told = self.folder / "told"
        words = (*before, sys.executable, "-c", WRITER, str(mebibytes), str(rate), str(told))
        used = cpu()
        if where == "file":
            with (self.folder / "out").open("wb") as file:
                self.run(words, stdout=file, stderr=subprocess.DEVNULL)
        else:
            reading, writing = os.pipe() if where == "pipe" else pty.openpty()
            reader = threading.Thread(target=drain, args=(reading,))
            reader.start()
            self.run(words, stdout=writing, stderr=subprocess.DEVNULL)
            os.close(writing)
            reader.join()
            os.close(reading)
        wait_for_all()
        seconds, own = map(float, told.read_text().split())
        return seconds, cpu() - used - own


def drain(file: int) -> None:
    """Read until the end."""
    try:
        while os.read(file, 2**20):
            pass
    except OSError:  # a terminal's
        pass


def main() -> None:
    """Print the tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    mebibytes = int(sys.argv[2]) if len(sys.argv) > 2 else MEBIBYTES
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {rounds} rounds")
        starts: dict[str, list[float]] = {name: [] for name in bench.ways}
        for _ in range(rounds):
            for name, before in bench.ways.items():
                starts[name].append(bench.until_start(before))
        print(f"{'':10}{'starts':>12}{'median':>12}{'ends':>12}{'processor':>12}")
        for name, before in bench.ways.items():
            ended, used = map(min, zip(*(bench.whole(before) for _ in range(rounds // 2)), strict=True))
            least, median = min(starts[name]), statistics.median(starts[name])
            print(f"{name:10}{least:9.1f} ms{median:9.1f} ms{ended:9.1f} ms{used:9.1f} ms")
        print(f"\n{'':10}{'bare':>12}{'when run':>12}{'ratio':>12}{'at 100 MB/s':>16}{'of a core':>12}")
        for where in ("pipe", "file", "terminal"):
            size = mebibytes if where != "terminal" else max(1, mebibytes // TERMINAL_SHARE)
            bare, through, ratios = [], [], []
            for _ in range(PAIRS):
                bare.append(bench.output(where, (), size, 0.0)[0])
                through.append(bench.output(where, bench.ways["when run"], size, 0.0)[0])
                ratios.append(through[-1] / bare[-1])
            shares, longer = [], []
            for _ in range(PAIRS):
                alone = bench.output(where, (), size, RATE)[0]
                seconds, all_of_it = bench.output(where, bench.ways["when run"], size, RATE)
                longer.append(100 * (seconds / alone - 1))
                ends = bench.output(where, bench.ways["when run"], 0, 0.0)[1]
                shares.append(100 * (all_of_it - ends) / seconds)
            print(
                f"{where:10}{min(bare):10.2f} s{min(through):10.2f} s{statistics.median(ratios):12.2f}"
                f"{statistics.median(longer):+14.1f} %{min(shares):10.1f} %"
            )


if __name__ == "__main__":
    main()
