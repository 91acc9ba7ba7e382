"""
Twenty thousand polls of the whole chain in one process: driver, rules, alerts, what is waited for, the state.

    .venv/bin/python -m tests.bench.steady FOLDER [POLLS]

Prints the memory (KiB) after the first fifth and at the end, and how many transitions of alerts there were.
Time runs five seconds a poll; of every thousand polls some are trouble, so that alerts fire, are mailed, are
resolved, and fire again.
"""

from __future__ import annotations

import gc
import sys
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from gpuwatch_tray.alerts import RoutingPolicy
from gpuwatch_tray.app.tray_app import COLLECT_EVERY
from gpuwatch_tray.engine import Engine, HostRules, Policy
from gpuwatch_tray.model import Limits
from gpuwatch_tray.notify.render import MailIdentity
from gpuwatch_tray.sources.nvml import NvmlSource
from gpuwatch_tray.store import Store
from tests.driver.scenario import FakeEvent, FakeGpu, FakeProcess, Scenario, loaded
from tests.support.fakes import MIB, Clock
from tests.support.workers import workers

POLLS = 20_000
TURN, TROUBLE = 1000, 30  # polls of a round, and those of them in trouble
DELIVER = 20  # polls between two deliveries


def resident() -> int:
    """KiB that this process holds."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def scenarios(pids: list[int]) -> list[Scenario]:
    """Calm, with new processes each time; and hot, throttled, erring, with one GPU lost."""
    rows = [FakeProcess(pid, 3000 * MIB) for pid in pids]
    calm = [FakeGpu.numbered(0, *rows[:2], utilisation=0), FakeGpu.numbered(1)]
    hot = replace(
        calm[0], temperature=95, clocks=0x68, ecc=(500, 1), rows=(1, 0), width=(4, 16), utilisation=90
    )
    return [
        Scenario(gpus=calm),
        Scenario(gpus=[hot, FakeGpu.numbered(1, *rows)]),
        Scenario(gpus=[replace(calm[0], errors={"compute": 999}), replace(calm[1], lost=True)]),
    ]


def main() -> None:
    """Poll and print."""
    folder, polls = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else POLLS
    clock = Clock()
    path = folder / "scenario"
    policy = Policy(Limits(gpu_limit=1, max_etime=3600), RoutingPolicy(mails=True))
    sizes = []
    with workers(folder, *([f"w{n}.py"] for n in range(5))) as held, loaded(path):
        played = scenarios([worker.pid for worker in held])
        played[0].write(path)
        source = NvmlSource(clock=clock, steady=lambda: clock.up, wake_sleeping=True, event_wait=0.02)
        with closing(Store(folder, "box", clock.uptime)) as store:
            evaluator = Engine(HostRules(), store, policy, MailIdentity("box", "ada", ""), clock.instant)
            for poll in range(polls):
                turn, place = divmod(poll, TURN)
                if place in {0, TROUBLE}:
                    event = FakeEvent(turn + 1, FakeGpu.numbered(0).uuid, 13 + turn % 100)
                    replace(played[(1 + turn % 2) if place == 0 else 0], events=[event]).write(path)
                evaluator.evaluate(source.read())
                for row in store.lease_due(clock.now, 60.0) if poll % DELIVER == 0 else ():
                    store.mark_sent(row.id, clock.now, "250")
                clock.advance(5)
                if poll == 0:  # as the tray does
                    gc.collect()
                    gc.freeze()
                    gc.set_threshold(COLLECT_EVERY)
                if poll + 1 in {polls // 5, polls}:
                    gc.collect()
                    sizes.append(resident())
            history = len(store.history()[1])
        source.close()
    print(*sizes, history)


if __name__ == "__main__":
    main()
