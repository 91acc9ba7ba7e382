"""The composition root: the store and its lease, the evaluator, the recorder and the outbox's process."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.app.context import RunContext, WorkError, standby_places, store_lock
from gpuwatch_tray.app.recorder import Recorder
from gpuwatch_tray.common import host
from gpuwatch_tray.engine import (
    Engine,
    HostEngine,
    HostRules,
    Policy,
    late_digest,
    no_desktop,
)
from gpuwatch_tray.history import Sampler
from gpuwatch_tray.history.sample_store import SampleStore
from gpuwatch_tray.i18n import _
from gpuwatch_tray.ipc.lock import LockHolder, StoreLock
from gpuwatch_tray.model import EmailWhen
from gpuwatch_tray.notify.outbox_process import OutboxProcess
from gpuwatch_tray.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gpuwatch_tray.engine import LabEngine
    from gpuwatch_tray.model import Instant, Minute, PresenceResult


LOOP_COOLDOWN = 60.0  # seconds: COOLDOWN_MIN=0 means a mail at each run of cron, not every five seconds


class AlreadyRunningError(Exception):
    """Another process evaluates on this state; `holder` describes it."""

    def __init__(self, holder: LockHolder, host: str) -> None:
        super().__init__(_("{holder} is watching on {host}").format(holder=holder, host=host))
        self.holder = holder


class StoreLease(Struct):
    """The store and the right to evaluate on it; `holder` is what the lock says of this process."""

    store: Store
    holder: LockHolder
    lock: StoreLock

    def describe(self, **changes: Any) -> None:
        """Publish a change of the description: `trouble`, `mails` or the control socket's `address`."""
        self.holder = replace(self.holder, **changes)
        self.lock.describe(self.holder)


def write_missing_settings() -> tuple[Path, ...]:
    """Write the files of settings that are missing, and return them. Raises WorkError."""
    from gpuwatch_tray.settings.template import write_missing  # late: seldom needed

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
    import tempfile  # late: only a demo needs it

    folder = Path(tempfile.mkdtemp(prefix="gpuwatch-tray-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_store(context: RunContext) -> Store:
    """Open the store of this run's state without the right to evaluate on it."""
    standby = standby_places(context)
    return Store(context.settings.state, context.state_name, host.uptime, standby=standby)


LOOPS = {"tray", "watch"}


@contextmanager
def acquire_store(context: RunContext, face: str) -> Iterator[StoreLease]:
    """Open the store with the right to evaluate on it; raises AlreadyRunningError where another has it."""
    with state_folder(context) as folder:
        # A trial evaluation in a demo disturbs nobody: it is alone in its folder.
        standby = standby_places(context)
        lock = store_lock(context) if face in LOOPS else StoreLock(folder, context.state_name, standby)
        holder = LockHolder(os.getpid(), face, context.policy.routing.tells_somebody)
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
    return _outbox_process(context, store, deliver_command(context), Channel.EMAIL)


def chat_command(context: RunContext, name: str) -> list[str]:
    """Return the command of the child that sends to the chat with this name."""
    of_lab = ["--lab"] if context.lab else []
    return [*host.this_program(), "chat", "deliver", name, "--source", context.source.value, *of_lab]


def create_chat_processes(context: RunContext, store: Store) -> tuple[OutboxProcess, ...]:
    """Make what starts the sending child process of each chat."""
    routing = context.policy.routing
    if routing.chat_when is EmailWhen.NEVER:
        return ()
    return tuple(
        _outbox_process(context, store, chat_command(context, chat.name), chat.channel)
        for chat in routing.chats
    )


def create_outboxes(context: RunContext, store: Store) -> tuple[OutboxProcess, ...]:
    """Make what starts the sending child processes of every channel, the mail's first."""
    mail = create_outbox_process(context, store)
    return (*([] if mail is None else [mail]), *create_chat_processes(context, store))


def _outbox_process(context: RunContext, store: Store, command: list[str], channel: Channel) -> OutboxProcess:
    own = host.this_program()

    def fallback() -> list[str]:
        other = shutil.which("gpuwatch-tray")  # another installation, where this one was replaced
        return [] if other is None else [other, *command[len(own) :]]

    gather = late_digest(context.mail_identity, channel)
    return OutboxProcess(
        store, command, time.time, time.monotonic, gather, fallback=fallback, channel=channel.value
    )


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
    edges = (presence or no_desktop, _lives, _descends, _kernel_lines)
    return Engine(HostRules(), store, policy, context.mail_identity, clock, *edges)


def create_lab_engine(
    context: RunContext,
    store: Store,
    clock: Callable[[], Instant] = host.now,
    *,
    presence: Callable[[], PresenceResult] | None = None,
) -> LabEngine:
    """Make the engine of the lab."""
    from gpuwatch_tray.engine.lab_rule_book import LabRules  # late: most have no lab

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


def _kernel_lines(pid: int, within: float) -> tuple[str, ...]:
    """Return what the kernel said of killing a process; needed only once one has ended."""
    from gpuwatch_tray.common.oom import lines_about

    return lines_about(pid, within)
