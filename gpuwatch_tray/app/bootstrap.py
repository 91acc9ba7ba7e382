"""The composition root: the run's context, the source, the store and its lease, the evaluator."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import ipc
from gpuwatch_tray.app.recorder import Recorder
from gpuwatch_tray.common import host, redact, session_folder
from gpuwatch_tray.common.threads import call_with_timeout
from gpuwatch_tray.engine import (
    Engine,
    HostEngine,
    HostRules,
    LabEngine,
    LabRules,
    Policy,
    late_digest,
    no_desktop,
)
from gpuwatch_tray.history import Sampler
from gpuwatch_tray.history.sample_store import SampleStore
from gpuwatch_tray.i18n import _
from gpuwatch_tray.ipc.lock import LockHolder, StoreLock
from gpuwatch_tray.model import EmailWhen, LabLimits, Limits, Problem, Snapshot, UseLimits
from gpuwatch_tray.notify.outbox_process import OutboxProcess
from gpuwatch_tray.notify.render import MailIdentity
from gpuwatch_tray.settings import LabAlerts, ResolvedChannel, write_missing
from gpuwatch_tray.settings import load as load_settings
from gpuwatch_tray.store import Store, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from gpuwatch_tray.model import Instant, Minute, PresenceResult
    from gpuwatch_tray.settings import ConfigProblem, LabSettings, Settings
    from gpuwatch_tray.sources import Source


STALE_POLLS = 3
STALE_AT_LEAST = 5.0  # seconds: on a busy machine a short interval is missed
BLIND_EVERY = 5.0  # seconds between evaluations while no reading comes back
PROGRAM_DELAY = 20.0  # seconds beyond the interval: MYGPU's program may ask another machine


LAB_DELAY = (
    150.0  # seconds: a read takes 17 s at most, and a lab that cannot be read is left alone for two minutes
)
LAB_NAME = "lab"  # names it in mails, fingerprints and the state's file


class SourceKind(Enum):
    """Where the numbers come from (`--source`, `--demo`, MYGPU)."""

    NVML = "nvml"
    COMMAND = "command"
    AUTO = "auto"
    DEMO = "demo"


class UsageError(Exception):
    """Wrong use or configuration: the command ends with exit code 2. One line for each problem."""


class WorkError(Exception):
    """The work failed: the command ends with exit code 1."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What every command runs with; a `trial` (--demo, --source auto) leaves nothing behind for later."""

    settings: Settings
    problems: tuple[ConfigProblem, ...]
    source: SourceKind
    host: str
    user: str
    trial: bool = False
    lab: bool = False  # whether this is about the lab, with a state of its own, and not about this host

    @property
    def simulated(self) -> bool:
        """Whether this is a demo: labelled, with a temporary state, and without mail."""
        return self.source is SourceKind.DEMO

    @property
    def state_name(self) -> str:
        """The host's name, with a suffix for MYGPU's program: over NFS two machines share no state."""
        if self.lab:
            return f"{self.host}-{LAB_NAME}"
        if self.source is not SourceKind.COMMAND:
            return self.host
        digest = hashlib.sha256(self.settings.mygpu.encode(errors="surrogateescape")).hexdigest()
        return f"{self.host}-{digest[:8]}"

    @property
    def mail_identity(self) -> MailIdentity:
        """The host and user that the mails name as their sender."""
        return MailIdentity(
            LAB_NAME if self.lab else self.host,
            self.user,
            redact.visible(str(self.settings.config)),
            self.settings.threading,
        )

    @property
    def policy(self) -> Policy:
        """The policy of evaluations, as the settings have it."""
        settings = self.settings
        return Policy(
            settings.limits,
            replace(settings.routing, mails=bool(settings.to_email) and not self.simulated),
            resolved_mail=ResolvedChannel.EMAIL in settings.tell_resolved
            and settings.routing.email_when is not EmailWhen.NEVER,
            resolved_popup=ResolvedChannel.POPUP in settings.tell_resolved,
            gap=self.stale_after + BLIND_EVERY,
            lab=lab_limits(settings.lab),
        )

    @property
    def stale_after(self) -> float:
        """Seconds after which a reading says nothing about the present."""
        if self.lab:
            return STALE_POLLS * self.settings.lab.poll + LAB_DELAY
        delay = PROGRAM_DELAY if self.source is SourceKind.COMMAND else 0.0
        return max(STALE_POLLS * self.settings.poll, STALE_AT_LEAST) + delay

    def require_valid_settings(self) -> None:
        """Raise UsageError with every problem of the settings, if there is one."""
        if self.problems:
            raise UsageError("\n".join(str(problem) for problem in self.problems))

    def require_recipient(self) -> None:
        """Raise UsageError with every problem of the settings, and with why nobody is mailed, if so."""
        nobody = not self.settings.to_email and not self.simulated
        if self.problems or nobody:
            lines = [*map(str, self.problems), *([self.settings.no_recipient] if nobody else [])]
            raise UsageError("\n".join(dict.fromkeys(lines)))


log = logging.getLogger(__name__)

DRIVER_TIMEOUT = 20.0  # seconds after which a command gives up on a driver
PROGRAM_TIMEOUT = 25.0  # seconds for MYGPU's program, which its source ends after 20


def open_source(context: RunContext, store: Store | None = None) -> Source:
    """Open the source of `context`; `store` keeps what the command source has seen."""
    # Late imports: a demo needs no driver library, the command source no psutil.
    if context.source is SourceKind.DEMO:
        from gpuwatch_tray.sources.simulated import MAX_ETIME, SimulatedSource

        limit = context.settings.limits.max_etime
        return SimulatedSource(context.user, max_etime=MAX_ETIME if limit is None else limit)
    if context.source is SourceKind.COMMAND:
        from gpuwatch_tray.sources.command import CommandSource

        sightings = {} if store is None else store.sightings()
        source = CommandSource(context.settings.mygpu, first_seen=sightings, user=context.user)
        return source if store is None else _RememberingSource(source, sightings, store)
    from gpuwatch_tray.sources.nvml import NvmlSource

    return NvmlSource(wake_sleeping=context.settings.wake_gpu)


def reconfigure_source(source: Source, context: RunContext) -> None:
    """Apply changed settings to an open source."""
    if context.source is SourceKind.NVML:
        from gpuwatch_tray.sources.nvml import NvmlSource

        if isinstance(source, NvmlSource):
            source.wake_sleeping(wake=context.settings.wake_gpu)


class _RememberingSource:
    """A command source whose sightings are stored, so that cron's next run knows them."""

    def __init__(self, source: Source, sightings: dict[tuple[int, str], float], store: Store) -> None:
        self.name = source.name
        self._source = source
        self._sightings = sightings
        self._store = store
        self._saved = dict(sightings)

    def read(self) -> Snapshot:
        """Read, and save the sightings if they have changed."""
        snapshot = self._source.read()
        if self._sightings != self._saved:
            try:
                self._store.save_sightings(self._sightings)
            except StoreError as error:
                log.warning("%s", error)  # the snapshot is good all the same
            else:
                self._saved = dict(self._sightings)
        return snapshot

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def read_once(context: RunContext, source: Source) -> Snapshot:
    """Read one snapshot for a command, or one that says that the driver hangs, perhaps for ever."""
    seconds = PROGRAM_TIMEOUT if context.source is SourceKind.COMMAND else DRIVER_TIMEOUT
    try:
        return call_with_timeout(seconds, source.read, "read")
    except TimeoutError:
        mend = _("check whether `nvidia-smi` hangs too; `dmesg` may show why")
        hang = Problem(
            _("{source}: no answer within {seconds:g} s").format(source=source.name, seconds=seconds), mend
        )
        return Snapshot(source.name, time.time(), problem=hang)


DEMO_POLL = 5.0  # seconds
LOOP_COOLDOWN = 60.0  # seconds: COOLDOWN_MIN=0 means a mail at each run of cron, not every five seconds


class AlreadyRunningError(Exception):
    """Another process evaluates on this state; `holder` describes it."""

    def __init__(self, holder: LockHolder, host: str) -> None:
        super().__init__(_("{holder} is watching on {host}").format(holder=holder, host=host))
        self.holder = holder


@dataclass(slots=True)
class StoreLease:
    """The store and the right to evaluate on it; `holder` is what the lock says of this process."""

    store: Store
    holder: LockHolder
    lock: StoreLock

    def describe(self, **changes: Any) -> None:
        """Publish a change of the description: `trouble`, `mails` or the control socket's `address`."""
        self.holder = replace(self.holder, **changes)
        self.lock.describe(self.holder)


def create_context(
    environ: Mapping[str, str],
    wanted: SourceKind | None,
    loaded: tuple[Settings, tuple[ConfigProblem, ...]] | None = None,
) -> RunContext:
    """Choose the source: `wanted`, else `command` where MYGPU is set, else `nvml`. Raises UsageError."""
    settings, problems = loaded or load_settings(environ)
    kind = wanted or (SourceKind.COMMAND if settings.mygpu else SourceKind.NVML)
    if kind is SourceKind.AUTO and settings.mygpu:
        kind = SourceKind.COMMAND
    if kind is SourceKind.COMMAND and not settings.mygpu:
        raise UsageError(
            _("--source command needs the variable MYGPU: a program that prints the process list")
        )
    trial = wanted in {SourceKind.AUTO, SourceKind.DEMO}
    context = RunContext(settings, problems, kind, host.host(), host.user(environ), trial)
    if kind is SourceKind.AUTO:
        context = _resolve_auto(context)
    return _as_demo(context) if context.simulated else context


def lab_context(context: RunContext) -> RunContext | None:
    """Return the context of the lab beside this host's; None where none is configured, and in a demo."""
    if context.simulated or not context.settings.lab.configured:
        return None
    return replace(context, lab=True)


def lab_limits(lab: LabSettings) -> LabLimits:
    """Return the thresholds over the hosts of the lab; what is asked by ssh was chosen host by host."""
    everything = lab.alerts is LabAlerts.ALL
    pins = frozenset(lab.pins)
    return LabLimits(
        lab.gpu_limit,
        bool(lab.hosts) or everything,
        everything,
        pins,
        bool(lab.alertmanager),
        bool(lab.prometheus),
        lab.poll,
    )


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


def write_missing_settings() -> tuple[Path, ...]:
    """Write the files of settings that are missing, and return them. Raises WorkError."""
    try:
        return write_missing(os.environ)
    except OSError as error:
        raise WorkError(_("the settings cannot be written: {error}").format(error=error)) from error


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


def standby_places(context: RunContext) -> tuple[Path, ...]:
    """Return what stands in for the state's files while its folder cannot be written; a demo needs none."""
    if context.simulated:
        return ()
    return session_folder.standby_places(context.settings.state, context.state_name)


def open_store(context: RunContext) -> Store:
    """Open the store of this run's state without the right to evaluate on it."""
    standby = standby_places(context)
    return Store(context.settings.state, context.state_name, host.uptime, standby=standby)


DEMO = "demo"  # the name of a demo's state, for its address and lock
LOOPS = {"tray", "watch"}


def store_lock(context: RunContext) -> StoreLock:
    """Return the lock of this state; a demo's is in the session's folder, as nobody knows its state's."""
    if context.simulated:
        return StoreLock(*ipc.session_place(context.settings.state, DEMO))
    return StoreLock(context.settings.state, context.state_name, standby_places(context))


@contextmanager
def acquire_store(context: RunContext, face: str) -> Iterator[StoreLease]:
    """Open the store with the right to evaluate on it; raises AlreadyRunningError where another has it."""
    with state_folder(context) as folder:
        # A trial evaluation in a demo disturbs nobody: it is alone in its folder.
        standby = standby_places(context)
        lock = store_lock(context) if face in LOOPS else StoreLock(folder, context.state_name, standby)
        holder = LockHolder(os.getpid(), face, context.policy.routing.mails)
        if not lock.acquire(holder):
            raise AlreadyRunningError(lock.holder(), context.host)
        try:
            with closing(
                Store(folder, context.state_name, host.uptime, keeper=True, standby=standby)
            ) as store:
                if context.simulated and face in LOOPS:
                    from gpuwatch_tray.app.demo_past import past_commit

                    now = host.now().wall
                    store.commit(past_commit(context.settings.limits, context.host, context.user, now))
                yield StoreLease(store, holder, lock)
        finally:
            lock.release()


def deliver_command(context: RunContext) -> list[str]:
    """Return the command of the child that sends mail; the state's name depends on the source."""
    of_lab = ["--lab"] if context.lab else []
    return [*host.this_program(), "mail", "deliver", "--source", context.source.value, *of_lab]


def create_outbox_process(context: RunContext, store: Store) -> OutboxProcess | None:
    """Make what starts the sending child process; None where nobody is mailed."""
    if not context.policy.routing.mails or context.settings.routing.email_when is EmailWhen.NEVER:
        return None
    command = deliver_command(context)
    own = host.this_program()

    def fallback() -> list[str]:
        other = shutil.which("gpuwatch-tray")  # another installation, where this one was replaced
        return [] if other is None else [other, *command[len(own) :]]

    gather = late_digest(context.mail_identity)
    return OutboxProcess(store, command, time.time, time.monotonic, gather, fallback=fallback)


def create_recorder(context: RunContext, store: Store) -> Recorder:
    """Make the recorder of samples, beside the state."""
    samples = SampleStore(store.path.parent, context.state_name)
    limits = context.settings.limits
    past: Iterable[Minute] = ()
    if context.simulated:
        from gpuwatch_tray.app.demo_past import past_minutes
        from gpuwatch_tray.sources.simulated_day import simulated_day

        past = past_minutes(simulated_day(host.now().wall, context.user), limits)
    return Recorder(samples, Sampler(limits, context.stale_after), host.now, past)


def create_policy(context: RunContext, *, in_loop: bool = True, popups: bool) -> Policy:
    """Make the policy `in_loop` or of a single run, on a desktop with `popups` or without one."""
    routing = replace(context.policy.routing, popups=popups)
    if in_loop:
        routing = replace(routing, cooldown=max(routing.cooldown, LOOP_COOLDOWN))
    return replace(context.policy, in_loop=in_loop, routing=routing)


def create_engine(
    context: RunContext,
    store: Store,
    clock: Callable[[], Instant] = host.now,
    *,
    in_loop: bool = True,
    presence: Callable[[], PresenceResult] | None = None,
) -> HostEngine:
    """Make the engine: `in_loop` mails keep a distance, with `presence` there are popups."""
    policy = create_policy(context, in_loop=in_loop, popups=presence is not None)
    identity = context.mail_identity
    return Engine(HostRules(), store, policy, identity, clock, presence or no_desktop, _lives, _descends)


def create_lab_engine(
    context: RunContext,
    store: Store,
    clock: Callable[[], Instant] = host.now,
    *,
    presence: Callable[[], PresenceResult] | None = None,
) -> LabEngine:
    """Make the engine of the lab."""
    policy = create_policy(context, popups=presence is not None)
    return Engine(LabRules(), store, policy, context.mail_identity, clock, presence or no_desktop)


def _lives(pid: int, identity: str) -> bool | None:
    """Return whether a process still runs; needed only while a reminder waits for its end."""
    from gpuwatch_tray.sources.processes import is_alive

    return is_alive(pid, identity)


def _descends(pid: int, ancestor: int) -> bool:
    """Return whether `pid` runs below `ancestor`; needed only while a reminder waits for a command's end."""
    from gpuwatch_tray.sources.processes import is_descendant

    return is_descendant(pid, ancestor)
