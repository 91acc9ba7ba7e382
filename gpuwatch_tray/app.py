"""
What every command starts from: the run's context, the source, the store and its lease, the evaluator.

The composition root: it decides nothing, it makes the parts and hands them to each other.
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
from gpuwatch_tray.context import RunContext, SourceKind, UsageError
from gpuwatch_tray.courier import OutboxProcess
from gpuwatch_tray.evaluator import Engine, late_digest, no_desktop
from gpuwatch_tray.language import _
from gpuwatch_tray.lock import LockHolder, StoreLock, this_process
from gpuwatch_tray.model import EmailWhen, Limits, UseLimits
from gpuwatch_tray.reading import open_source, read_once
from gpuwatch_tray.recording import Recorder
from gpuwatch_tray.sampling import Sampler
from gpuwatch_tray.settings import load as load_settings
from gpuwatch_tray.store import Store
from gpuwatch_tray.store.samples import SampleStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gpuwatch_tray.evaluator import Policy
    from gpuwatch_tray.model import Instant, PresenceResult
    from gpuwatch_tray.settings import ConfigProblem, Settings

DEMO_POLL = 5.0  # seconds
LOOP_COOLDOWN = 60.0  # seconds: COOLDOWN_MIN=0 means a mail at each run of cron, not every five seconds


class AlreadyRunningError(Exception):
    """Another process evaluates on this state; `holder` describes it."""

    def __init__(self, holder: LockHolder, host: str) -> None:
        super().__init__(_("{holder} watches on {host}").format(holder=holder, host=host))
        self.holder = holder


@dataclass(slots=True)
class StoreLease:
    """The store and the right to evaluate on it as `face`; the lock's file describes this process."""

    store: Store
    face: str
    describe: Callable[[LockHolder], None]
    mails: bool
    trouble: str | None = None
    address: str = ""

    def report_trouble(self, trouble: str | None) -> None:
        """Publish trouble, or its end."""
        self.trouble = trouble
        self.write_description()

    def report_address(self, address: str) -> None:
        """Publish the address of the control socket."""
        self.address = address
        self.write_description()

    def write_description(self) -> None:
        """Write the lock's description of this process."""
        self.describe(this_process(self.face, mails=self.mails, trouble=self.trouble, address=self.address))


def create_context(
    environ: Mapping[str, str],
    wanted: SourceKind | None,
    loaded: tuple[Settings, tuple[ConfigProblem, ...]] | None = None,
) -> RunContext:
    """
    Choose the source: `wanted`, else `command` where MYGPU is set, else `nvml`. Raises UsageError.

    `loaded` is the content of the settings' files, if they have been read already.
    """
    settings, problems = loaded or load_settings(environ)
    kind = wanted or (SourceKind.COMMAND if settings.mygpu else SourceKind.NVML)
    if kind is SourceKind.AUTO and settings.mygpu:
        kind = SourceKind.COMMAND
    if kind is SourceKind.COMMAND and not settings.mygpu:
        raise UsageError(
            _("--source command needs the variable MYGPU: a program that prints the process list")
        )
    trial = wanted in {SourceKind.AUTO, SourceKind.DEMO}
    context = RunContext(settings, problems, kind, machine.host(), machine.user(environ), trial)
    if kind is SourceKind.AUTO:
        context = _resolve_auto(context)
    return _as_demo(context) if context.simulated else context


def with_settings(context: RunContext, loaded: tuple[Settings, tuple[ConfigProblem, ...]]) -> RunContext:
    """Return `context` with the settings `loaded` anew; the source, and with it the state, stay."""
    settings, problems = loaded
    new = replace(context, settings=settings, problems=problems)
    return _as_demo(new) if context.simulated else new


def _resolve_auto(context: RunContext) -> RunContext:
    """Choose the real GPUs where there is a driver, even a failing one; else simulated ones."""
    probe = replace(context, source=SourceKind.NVML)
    with closing(open_source(probe)) as source:
        problem = read_once(probe, source).problem
    return replace(context, source=SourceKind.DEMO) if problem is not None and problem.no_driver else probe


def _as_demo(context: RunContext) -> RunContext:
    from gpuwatch_tray.sources import simulated

    # The demo has its own limits and pace, whatever the user's settings are.
    # The other user's process on GPU 0 would fire first, and all the time.
    limit = context.settings.limits.max_etime
    limits = Limits(max_etime=simulated.MAX_ETIME if limit is None else limit, use=UseLimits(intruder=False))
    limits = simulated.demo_limits(limits)
    settings = replace(context.settings, limits=limits, poll=min(context.settings.poll, DEMO_POLL))
    return replace(context, problems=(), settings=settings)


@contextmanager
def state_folder(context: RunContext) -> Iterator[Path]:
    """Yield the state's folder; a demo's is a temporary one."""
    if not context.simulated:
        yield context.settings.state
        return
    folder = Path(tempfile.mkdtemp(prefix="gpuwatch-tray-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_store(context: RunContext) -> Store:
    """Open the store of this run's state without the right to evaluate on it."""
    return Store(context.settings.state, context.state_name, machine.uptime)


@contextmanager
def acquire_store(context: RunContext, face: str) -> Iterator[StoreLease]:
    """Open the store with the right to evaluate on it; raises AlreadyRunningError where another has it."""
    with state_folder(context) as folder:
        lock = StoreLock(folder, context.state_name)
        if not lock.acquire(this_process(face, mails=context.policy.routing.mails)):
            raise AlreadyRunningError(lock.holder(), context.host)
        try:
            with closing(Store(folder, context.state_name, machine.uptime, keeper=True)) as store:
                yield StoreLease(store, face, lock.describe, context.policy.routing.mails)
        finally:
            lock.release()


def deliver_command(context: RunContext) -> list[str]:
    """Return the command of the child that sends mail; the state's name depends on the source."""
    return [*machine.this_program(), "mail", "deliver", "--source", context.source.value]


def create_courier(context: RunContext, store: Store) -> OutboxProcess | None:
    """Make what starts the sending child process; None where nobody is mailed."""
    if not context.policy.routing.mails or context.settings.email_when is EmailWhen.NEVER:
        return None
    command = deliver_command(context)
    return OutboxProcess(store, command, time.time, time.monotonic, late_digest(context.mail_identity))


def create_recorder(context: RunContext, store: Store) -> Recorder:
    """Make the recorder of samples, beside the state."""
    samples = SampleStore(store.path.parent, context.state_name)
    return Recorder(samples, Sampler(context.settings.limits, context.stale_after), machine.now)


def create_policy(context: RunContext, *, loop: bool = True, popups: bool) -> Policy:
    """Make the policy of a `loop` or a single run, on a desktop with `popups` or without one."""
    routing = replace(context.policy.routing, popups=popups)
    if loop:
        routing = replace(routing, cooldown=max(routing.cooldown, LOOP_COOLDOWN))
    return replace(context.policy, holds=loop, routing=routing)


def create_evaluator(
    context: RunContext,
    store: Store,
    clock: Callable[[], Instant] = machine.now,
    *,
    loop: bool = True,
    presence: Callable[[], PresenceResult] | None = None,
) -> Engine:
    """
    Make the evaluator on `store`; in a `loop` equal mails keep a minimum distance.

    With `presence`, which tells whether the person is there, there is a desktop for popups.
    """
    policy = create_policy(context, loop=loop, popups=presence is not None)
    return Engine(store, policy, context.mail_identity, clock, presence or no_desktop, _lives, _descends)


def _lives(pid: int, identity: str) -> bool | None:
    """Return whether a process still runs; needed only while a reminder waits for its end."""
    from gpuwatch_tray.sources.living import is_alive

    return is_alive(pid, identity)


def _descends(pid: int, ancestor: int) -> bool:
    """Return whether `pid` runs below `ancestor`; needed only while a reminder waits for a command's end."""
    from gpuwatch_tray.sources.living import is_descendant

    return is_descendant(pid, ancestor)
