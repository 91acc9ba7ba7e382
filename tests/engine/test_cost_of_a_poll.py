"""What a poll of the whole chain costs, where it can be counted; `make bench` has the times."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.driver import scenario as driver
from tests.driver.scenario import FakeGpu, FakeProcess, Scenario, calls_in
from tests.support.system_calls import can_trace, traced
from tests.support.workers import workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts by /proc")
ROOT = Path(__file__).parents[2]
GPUS, PROCESSES = 4, 24
WARM, POLLS = 14, 60  # until every value was read twice; then each process is looked at anew just once
BEGIN, END = "/the-polls-begin", "/the-polls-end"  # looked for, so that strace tells of it
COUNTS = f"""
import json, os, sys, tempfile
from pathlib import Path
from gpuwatch_tray.alerts import RoutingPolicy
from gpuwatch_tray.common import host
from gpuwatch_tray.engine import Engine, HostRules, Policy
from gpuwatch_tray.model import Limits
from gpuwatch_tray.notify.render import MailIdentity
from gpuwatch_tray.sources.nvml import NvmlSource
from gpuwatch_tray.store import Store

folder = Path(sys.argv[1])
store = Store(folder, "box", host.uptime)
policy = Policy(Limits(gpu_limit={GPUS}), RoutingPolicy(mails=True))
engine = Engine(HostRules(), store, policy, MailIdentity("box", "ada", ""), host.now)
source = NvmlSource(wake_sleeping=True)
for _ in range({WARM}):
    engine.evaluate(source.read())
opened, asked = [], []
if "counted" in sys.argv:  # strace sees what the counting does, too
    sys.addaudithook(lambda event, words: event == "open" and opened.append(words[0]))
store._database._open.set_trace_callback(asked.append)
(folder / "calls").unlink(missing_ok=True)
began = Path("/proc/self/io").read_text()
del opened[:]
os.path.exists("{BEGIN}")
for _ in range({POLLS}):
    result = engine.evaluate(source.read())
os.path.exists("{END}")
opens = len(opened)
reads = [int(text.partition("syscr:")[2].split()[0]) for text in (began, Path("/proc/self/io").read_text())]
assert len(result.status.snapshot.processes) == {GPUS * PROCESSES}, result.status
print(json.dumps({{"opens": opens, "reads": reads[1] - reads[0], "statements": len(asked)}}))
"""


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """How many files were opened and read, SQL statements made, and calls of the driver, a poll."""
    folder = tmp_path_factory.mktemp("cost")
    with workers(folder, *([f"w{n}.py"] for n in range(PROCESSES))) as held:
        rows = [FakeProcess(worker.pid) for worker in held]
        played = Scenario(gpus=[FakeGpu.numbered(n, *rows) for n in range(GPUS)], calls=folder / "calls")
        done = subprocess.run(
            [sys.executable, "-c", COUNTS, str(folder), "counted"],
            env=driver.environment(played.write(folder / "scenario")),
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
    assert done.returncode == 0, done.stderr
    calls = {name: n for name, n in calls_in(folder / "calls").items() if " " not in name}
    driven = sum(n for name, n in calls.items() if not name.startswith("event_"))  # on a thread beside it
    return {name: n / POLLS for name, n in (json.loads(done.stdout) | {"calls": driven}).items()}


def test_the_driver_is_asked_for_what_changes_and_for_one_thing_more_in_turn(counted):
    """Five values and three lists of each GPU, and how many there are; one of what hardly changes."""
    assert counted["calls"] <= GPUS * (5 + 3 + 1) + 1


def test_no_file_of_a_process_that_goes_on_is_opened_but_in_turn(counted):
    """Each once in twelve polls, for its program; all that the system tells of it once in sixty."""
    most = PROCESSES * (1 / 12 + 12 / 60) + 1
    assert counted["opens"] <= most
    assert counted["reads"] <= 2 * most  # a file is read up to its end


def test_the_state_is_asked_one_thing(counted):
    """Whether another process has written; an idle poll writes nothing."""
    assert counted["statements"] == 1


@pytest.fixture
def crowd(tmp_path):
    """The processes, and a driver that has all of them on each GPU, as an environment."""
    with workers(tmp_path, *([f"w{n}.py"] for n in range(PROCESSES))) as held:
        rows = [FakeProcess(worker.pid) for worker in held]
        played = Scenario(gpus=[FakeGpu.numbered(n, *rows) for n in range(GPUS)])
        yield [worker.pid for worker in held], driver.environment(played.write(tmp_path / "scenario"))


needs_strace = pytest.mark.skipif(not can_trace(), reason="no strace, or it may not look here")


@needs_strace
def test_the_system_is_asked_little_by_a_steady_poll(crowd, tmp_path):
    """Whether a process has ended, and each one's start in turn, beside what the made-up driver does."""
    calls = traced([sys.executable, "-c", COUNTS, str(tmp_path)], crowd[1], tmp_path)
    begin, end = (next(n for n, call in enumerate(calls) if mark in call) for mark in (BEGIN, END))
    made = [call for call in calls[begin + 1 : end] if str(tmp_path / "scenario") not in call]
    # 3 calls for a start, 45 for all that psutil reads of a process; 14 for the database and the memory
    most = PROCESSES * (3 / 12 + 45 / 60) + 14
    print(f"{len(made) / POLLS:.1f} system calls a poll of {most:g}")
    assert len(made) / POLLS <= most


@needs_strace
def test_ps_reads_a_process_once_however_many_gpus_it_is_on(crowd, tmp_path):
    """Its files are read for its first row alone, and no other process's."""
    pids, environment = crowd
    words = [sys.executable, "-P", "-m", "gpuwatch_tray", "ps", "--all"]
    made = traced(words, environment | {"PYTHONPATH": str(ROOT)}, tmp_path)
    asked = Counter(found[1] for call in made if (found := re.search(r'"/proc/(\d+)/', call)))
    others = {pid: files for pid, files in asked.items() if int(pid) in pids}
    assert (len(others), len(asked)) == (PROCESSES, PROCESSES + 1)  # and itself, for whose it is
    assert max(others.values()) <= 9  # its start before and after, and owner, arguments, name and folder
