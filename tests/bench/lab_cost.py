"""
What a lab of 500 hosts costs: the desk that reads it, and the Prometheus that is asked.

    .venv/bin/python -m tests.bench.lab_cost [HOSTS]

A made-up fleet (a process of its own) with 3,900 GPUs and some 25,000 processes is scraped by a real
Prometheus every 15 s. A desk in another process reads it, judges it and writes its state, poll after poll.
Shown are CPU times, which a busy machine disturbs less than the clock, memory and bytes. Machines differ, so
nothing is asserted.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from typing import IO, Any

import psutil

from gpuwatch_tray.alerts import RoutingPolicy
from gpuwatch_tray.model import LabLimits, Limits
from gpuwatch_tray.settings import LabSettings
from tests.support.fleet import Fleet, FleetHost
from tests.support.folders import memory_folder
from tests.support.prometheus import Alertmanager, Prometheus
from tests.support.timing import wait_until

HOSTS = 500
POLLS = 40
POLL_SECONDS = 15.0
MIB = 2**20
RULES = """
groups:
- name: lab
  rules:
  - {alert: Watchdog, expr: vector(1), labels: {severity: none}}
  - {alert: GpuLost, expr: gpuwatch_gpus_expected > gpuwatch_gpus_visible, labels: {severity: critical}}
"""


def fleet(count: int) -> list[FleetHost]:
    """Hosts with 8 or 4 GPUs, two thirds of them in use by eight people; some are not well."""
    hosts = []
    for number in range(count):
        gpus = 4 if number % 20 == 0 else 8
        users = {gpu: [f"user{(number + n) % 8}" for n in range(12)] for gpu in range(gpus) if gpu % 3}
        host = FleetHost(f"h{number:04}", gpus=gpus, users={} if number % 5 == 0 else users)
        host.lost = {1} if number % 100 == 7 else set()
        host.down, host.blind = number % 100 == 50, number % 100 == 60
        hosts.append(host)
    hosts[0].users = {0: ["ada"], 1: ["ada"]}
    return hosts


def serve(count: int) -> None:
    """Be the fleet, until the input ends."""
    with Fleet(*fleet(count)) as running:
        print(json.dumps(running.targets()), flush=True)
        sys.stdin.read()


def read(prometheus: str, alertmanager: str) -> None:
    """Be the desk: a poll for each line of input, whose cost is a line of output."""
    process = psutil.Process()
    bare = process.memory_info().rss  # with what this bench itself loads
    from gpuwatch_tray.common import host
    from gpuwatch_tray.engine import Engine, Policy
    from gpuwatch_tray.engine.lab_rule_book import LabRules
    from gpuwatch_tray.lab import http
    from gpuwatch_tray.lab.login import LabSecret
    from gpuwatch_tray.lab.prometheus import PrometheusLab
    from gpuwatch_tray.lab.silences_made import SilencesMade
    from gpuwatch_tray.notify.render import MailIdentity
    from gpuwatch_tray.store import Store

    sizes = {"unpacked": 0, "wire": 0, "questions": 0}
    parse = http.LabServer._parse

    def counting(self: Any, response: Any, text: bytes) -> Any:
        sizes["unpacked"] += len(text)
        sizes["wire"] += response.tell()
        sizes["questions"] += 1
        return parse(self, response, text)

    http.LabServer._parse = counting
    folder = memory_folder()
    settings = LabSettings(prometheus=(prometheus,), alertmanager=(alertmanager,), me="ada")
    lab = PrometheusLab(settings, LabSecret(settings), SilencesMade(folder / "made.json"))
    store = Store(folder, "lab")
    limits = LabLimits(gpu_limit=3, alertmanager=True, all_alerts=True)
    policy = Policy(Limits(gpu_limit=1), RoutingPolicy(3600.0), gap=3600.0, lab=limits)
    engine = Engine(LabRules(), store, policy, MailIdentity("lab", "ada", ""), host.now)
    view: Any = None
    try:
        for line in sys.stdin:
            sizes.update(dict.fromkeys(sizes, 0))
            walls, cpus = [time.perf_counter()], [time.process_time()]
            if line.strip() == "detail" and view is not None:
                lab.detail(view.hosts[1].name)
                lab._kept.clear()
            else:
                view = lab.read()
            walls.append(time.perf_counter())
            cpus.append(time.process_time())
            status = engine.evaluate(view).status
            cpus.append(time.process_time())
            told = sizes | {
                "wall": walls[1] - walls[0],
                "cpu": cpus[1] - cpus[0],
                "judged": cpus[2] - cpus[1],
                "rss": process.memory_info().rss,
                "bare": bare,
                "hosts": len(view.hosts),
                "gpus": sum(one.gpus for one in view.hosts if isinstance(one.gpus, int)),
                "problem": str(view.problem or ""),
                "headline": status.headline,
            }
            print(json.dumps(told), flush=True)
    finally:
        store.close()
        lab.close()
        shutil.rmtree(folder)


def start(*words: str) -> subprocess.Popen[str]:
    """Start a part of this bench as a process of its own."""
    command = [sys.executable, "-m", "tests.bench.lab_cost", *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(desk: subprocess.Popen[str], what: str = "poll") -> dict[str, Any]:
    """Have the desk poll once."""
    stdin, stdout = _open(desk.stdin), _open(desk.stdout)
    stdin.write(f"{what}\n")
    stdin.flush()
    return json.loads(stdout.readline())


def _open(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def cpu(pid: int) -> float:
    """The CPU seconds that a process has taken."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def median(found: list[dict[str, Any]], key: str) -> float:
    values = sorted(one[key] for one in found)
    return values[len(values) // 2]


def main(count: int) -> None:
    """Measure, and print a table."""
    fleet_process = start("fleet", str(count))
    targets = json.loads(_open(fleet_process.stdout).readline())
    with (
        Alertmanager() as manager,
        Prometheus(interval="15s", timeout="5s", alertmanagers=[manager.port], rules=RULES) as prometheus,
    ):
        prometheus.scrape(targets)
        wait_until(lambda: len(prometheus.ask("up")) == count, "all hosts were scraped", 180.0, 1.0)
        time.sleep(2 * POLL_SECONDS)
        began, before = time.monotonic(), cpu(prometheus.pid)
        time.sleep(2 * POLL_SECONDS)
        alone = (cpu(prometheus.pid) - before) / (time.monotonic() - began)
        desk = start("desk", prometheus.url, manager.url)
        first = ask(desk)
        for _ in range(3):
            ask(desk)
        began, before = time.monotonic(), cpu(prometheus.pid)
        polls = [ask(desk) for _ in range(POLLS)]
        asked = (cpu(prometheus.pid) - before - alone * (time.monotonic() - began)) / POLLS
        details = [ask(desk, "detail") for _ in range(5)]
        _open(desk.stdin).close()
        desk.wait(30)
        series = prometheus.ask("prometheus_tsdb_head_series") or prometheus.ask('count({__name__=~".+"})')
    _open(fleet_process.stdin).close()
    fleet_process.wait(30)
    _print(polls, first, details, int(float(series[0]["value"][1])))
    print(f"Prometheus: {100 * alone:.1f} % of a core by its scrapes; a poll costs it {1000 * asked:.1f} ms,")
    print(
        f"  {100 * asked / POLL_SECONDS:.2f} % of a core for each desk that polls every {POLL_SECONDS:.0f} s"
    )


def _print(
    polls: list[dict[str, Any]], first: dict[str, Any], details: list[dict[str, Any]], series: int
) -> None:
    last = polls[-1]
    reading, judging = 1000 * median(polls, "cpu"), 1000 * median(polls, "judged")
    print(f"{last['hosts']} hosts, {last['gpus']} GPUs that are read, {series:,} series")
    print(f"the lab's row: {last['headline']}  {last['problem']}")
    print(
        f"a poll: {last['questions']} questions, {last['unpacked'] // 1000} KB,"
        f" {last['wire'] // 1000} KB packed"
    )
    print(f"  the first, which loads the libraries: {1000 * first['cpu']:.0f} ms of CPU")
    print(f"  read {reading:.1f} ms of CPU, {1000 * median(polls, 'wall'):.0f} ms by the clock")
    print(f"  judged and written {judging:.1f} ms of CPU")
    print(f"  together {(reading + judging) / 10 / POLL_SECONDS:.2f} % of a core, each {POLL_SECONDS:.0f} s")
    print(
        f"memory: {last['rss'] // MIB} MiB, {(last['rss'] - last['bare']) // MIB} MiB more than before"
        " the imports"
    )
    print(f"  after the first poll {first['rss'] // MIB} MiB")
    print(
        f"a host in detail: {details[-1]['unpacked'] // 1000} KB,"
        f" {1000 * median(details, 'cpu'):.1f} ms of CPU"
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fleet", number]:
            serve(int(number))
        case ["desk", prometheus, alertmanager]:
            read(prometheus, alertmanager)
        case [number]:
            main(int(number))
        case _:
            main(HOSTS)
