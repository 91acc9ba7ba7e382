"""
The composition root: the settings and the source are settled, the state is taken, the evaluator made.

Nothing here decides anything; it hands the parts to each other.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray import machine
from gpuwatch_tray import settings as settings_room
from gpuwatch_tray.context import Setup, SourceKind, UsageError
from gpuwatch_tray.courier import Courier
from gpuwatch_tray.evaluator import Engine, late_digest, no_desktop
from gpuwatch_tray.language import _
from gpuwatch_tray.lock import Holder, WatchLock, this_process
from gpuwatch_tray.model import EmailWhen, Limits, UseLimits
from gpuwatch_tray.reading import open_source, read_once
from gpuwatch_tray.recording import Recorder
from gpuwatch_tray.sampling import Sampler
from gpuwatch_tray.store import Store
from gpuwatch_tray.store.samples import SampleStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gpuwatch_tray.evaluator import Policy
    from gpuwatch_tray.model import Instant, Sighting
    from gpuwatch_tray.settings import ConfigProblem, Settings

DEMO_POLL = 5.0  # seconds
LOOP_COOLDOWN = 60.0  # seconds: COOLDOWN_MIN=0 means every run of cron, not a mail every five seconds


class Occupied(Exception):  # noqa: N818  # a state of the machine, not a mistake
    """Another process evaluates on this state; the text says which, `holder` how it is."""

    def __init__(self, holder: Holder, host: str) -> None:
        super().__init__(_("{holder} watches on {host}").format(holder=holder, host=host))
        self.holder = holder


@dataclass(slots=True)
class Tenure:
    """The state, and the right to evaluate on it as `face`; those who come second are told how things are."""

    store: Store
    face: str
    describe: Callable[[Holder], None]
    mails: bool
    trouble: str | None = None
    address: str = ""

    def report(self, trouble: str | None) -> None:
        """Tell of trouble, or of its end."""
        self.trouble = trouble
        self.tell()

    def reachable(self, address: str) -> None:
        """Tell where this process can be asked."""
        self.address = address
        self.tell()

    def tell(self) -> None:
        """Describe this process anew."""
        self.describe(this_process(self.face, mails=self.mails, trouble=self.trouble, address=self.address))


def set_up(
    environ: Mapping[str, str],
    asked: SourceKind | None,
    loaded: tuple[Settings, tuple[ConfigProblem, ...]] | None = None,
) -> Setup:
    """
    Settle the source: as asked, else `command` when MYGPU is set, else `nvml`.

    `loaded` is what the settings' files say, where they have been read already.
    """
    settings, problems = loaded or settings_room.load(environ)
    kind = asked or (SourceKind.COMMAND if settings.mygpu else SourceKind.NVML)
    if kind is SourceKind.AUTO and settings.mygpu:
        kind = SourceKind.COMMAND
    if kind is SourceKind.COMMAND and not settings.mygpu:
        raise UsageError(
            _("--source command needs the variable MYGPU: a program that prints the process list")
        )
    trial = asked in {SourceKind.AUTO, SourceKind.DEMO}
    setup = Setup(settings, problems, kind, machine.host(), machine.user(environ), trial)
    if kind is SourceKind.AUTO:
        setup = _settle_auto(setup)
    return _as_demo(setup) if setup.simulated else setup


def renewed(setup: Setup, loaded: tuple[Settings, tuple[ConfigProblem, ...]]) -> Setup:
    """`setup` with what the files say now; the source, and so the state, stay."""
    settings, problems = loaded
    new = replace(setup, settings=settings, problems=problems)
    return _as_demo(new) if setup.simulated else new


def _settle_auto(setup: Setup) -> Setup:
    """The real GPUs where there is a driver, even one that fails; simulated ones where there is none."""
    probe = replace(setup, source=SourceKind.NVML)
    with closing(open_source(probe)) as source:
        problem = read_once(probe, source).problem
    return replace(setup, source=SourceKind.DEMO) if problem is not None and problem.no_driver else probe


def _as_demo(setup: Setup) -> Setup:
    from gpuwatch_tray.sources import simulated

    # The story is told by its own rules and at its own pace, whatever the user's settings are.
    # That a neighbour is on GPU 0 would be told first of all, and all the time.
    limit = setup.settings.limits.max_etime
    limits = Limits(max_etime=simulated.MAX_ETIME if limit is None else limit, use=UseLimits(intruder=False))
    limits = simulated.demo_limits(limits)
    settings = replace(setup.settings, limits=limits, poll=min(setup.settings.poll, DEMO_POLL))
    return replace(setup, problems=(), settings=settings)


@contextmanager
def state_folder(setup: Setup) -> Iterator[Path]:
    """The folder of the state; a demo's is its own and goes with it."""
    if not setup.simulated:
        yield setup.settings.state
        return
    folder = Path(tempfile.mkdtemp(prefix="gpuwatch-tray-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_store(setup: Setup) -> Store:
    """The state of this set-up, for whoever does not evaluate."""
    return Store(setup.settings.state, setup.state_name, machine.uptime)


@contextmanager
def tenure(setup: Setup, face: str) -> Iterator[Tenure]:
    """The state, together with the right to evaluate on it; raises Occupied where another has that."""
    with state_folder(setup) as folder:
        lock = WatchLock(folder, setup.state_name)

        if not lock.acquire(this_process(face, mails=setup.policy.routing.mails)):
            raise Occupied(lock.holder(), setup.host)
        try:
            with closing(Store(folder, setup.state_name, machine.uptime, keeper=True)) as store:
                yield Tenure(store, face, lock.describe, setup.policy.routing.mails)
        finally:
            lock.release()


def courier(setup: Setup, store: Store) -> Courier | None:
    """The way to the outbox of this set-up; None where nobody is mailed."""
    if not setup.policy.routing.mails or setup.settings.email_when is EmailWhen.NEVER:
        return None
    # The child is told the source: the state that it empties is the source's.
    command = [*machine.this_program(), "mail", "deliver", "--source", setup.source.value]
    return Courier(store, command, time.time, time.monotonic, late_digest(setup.head))


def recorder(setup: Setup, store: Store) -> Recorder:
    """What keeps the past of this set-up, beside its state."""
    samples = SampleStore(store.path.parent, setup.state_name)
    return Recorder(samples, Sampler(setup.settings.limits, setup.stale_after), machine.now)


def policy(setup: Setup, *, loop: bool = True, popups: bool) -> Policy:
    """What evaluations go by in a `loop` or a single run, on a desktop with `popups` or without one."""
    routing = replace(setup.policy.routing, popups=popups)
    if loop:
        routing = replace(routing, cooldown=max(routing.cooldown, LOOP_COOLDOWN))
    return replace(setup.policy, holds=loop, routing=routing)


def evaluator(
    setup: Setup,
    store: Store,
    clock: Callable[[], Instant] = machine.now,
    *,
    loop: bool = True,
    presence: Callable[[], Sighting] | None = None,
) -> Engine:
    """
    The evaluator of this set-up on this store; a `loop` keeps a pause between equal mails in any case.

    With `presence` there is a desktop to pop up on, and it says whether somebody is there.
    """
    goes_by = policy(setup, loop=loop, popups=presence is not None)
    return Engine(store, goes_by, setup.head, clock, presence or no_desktop, _lives, _descends)


def _lives(pid: int, identity: str) -> bool | None:
    """Whether this process of this machine goes on; asked for only where somebody waits for its end."""
    from gpuwatch_tray.sources import living

    return living.is_alive(pid, identity)


def _descends(pid: int, ancestor: int) -> bool:
    """Whether the one runs under the other; asked for only where somebody waits for a command's end."""
    from gpuwatch_tray.sources import living

    return living.is_descendant(pid, ancestor)
