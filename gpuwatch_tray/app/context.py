"""What a command runs with: the settings, the source of the numbers, the names and places of the state."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.common import host
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import LabLimits, Limits, Problem, Snapshot, UseLimits
from gpuwatch_tray.settings import LabAlerts, ResolvedChannel
from gpuwatch_tray.settings import load as load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gpuwatch_tray.engine import Policy
    from gpuwatch_tray.ipc.lock import StoreLock
    from gpuwatch_tray.notify.render import MailIdentity
    from gpuwatch_tray.settings import ConfigProblem, LabSettings, Settings
    from gpuwatch_tray.sources import Source
    from gpuwatch_tray.store import Store


STALE_POLLS = 3
STALE_AT_LEAST = 5.0  # seconds: on a busy machine a short interval is missed
BLIND_EVERY = 5.0  # seconds between evaluations while no reading comes back
PROGRAM_DELAY = 20.0  # seconds beyond the interval: MYGPU's program may ask another machine
LAB_DELAY = 150.0  # seconds: a read takes 17 s at most, and a lab that cannot be read is left alone for 2 min
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


class RunContext(Struct, frozen=True):
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
        import hashlib  # late: with it comes OpenSSL

        digest = hashlib.sha256(self.settings.mygpu.encode(errors="surrogateescape")).hexdigest()
        return f"{self.host}-{digest[:8]}"

    @property
    def mail_identity(self) -> MailIdentity:
        """The host and user that the mails name as their sender."""
        from gpuwatch_tray.common import redact
        from gpuwatch_tray.notify.render import MailIdentity

        return MailIdentity(
            LAB_NAME if self.lab else self.host,
            self.user,
            redact.visible(str(self.settings.config)),
            self.settings.threading,
            self.host if self.lab else "",
        )

    @property
    def policy(self) -> Policy:
        """The policy of evaluations, as the settings have it."""
        from gpuwatch_tray.engine import Policy

        settings = self.settings
        return Policy(
            settings.limits,
            replace(
                settings.routing,
                mails=bool(settings.to_email) and not self.simulated,
                chats=() if self.simulated else settings.routing.chats,
            ),
            resolved_mail=ResolvedChannel.EMAIL in settings.tell_resolved,
            resolved_chat=ResolvedChannel.CHAT in settings.tell_resolved,
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
        self._require(nobody=not self.settings.to_email and not self.simulated)

    def require_channel(self) -> None:
        """Raise the same where there is no chat either."""
        nobody = not self.settings.to_email and not self.settings.chats
        self._require(nobody=nobody and not self.simulated)

    def _require(self, *, nobody: bool) -> None:
        if self.problems or nobody:
            lines = [*map(str, self.problems), *([self.settings.no_recipient] if nobody else [])]
            raise UsageError("\n".join(dict.fromkeys(lines)))


log = logging.getLogger(__name__)

DRIVER_TIMEOUT = 20.0  # seconds after which a command gives up on a driver
PROGRAM_TIMEOUT = 25.0  # seconds for MYGPU's program, which its source ends after 20


def open_source(context: RunContext, store: Store | None = None) -> Source:
    """Open the source of `context`; `store` keeps what the command source has seen."""
    # Late imports: a demo needs no driver library, nor does the command source.
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
        from gpuwatch_tray.store import StoreError

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
    from gpuwatch_tray.common.threads import call_with_timeout

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


DEMO = "demo"  # the name of a demo's state, for its address and lock


def store_lock(context: RunContext) -> StoreLock:
    """Return the lock of this state; a demo's is in the session's folder, as nobody knows its state's."""
    from gpuwatch_tray import ipc
    from gpuwatch_tray.ipc.lock import StoreLock

    if context.simulated:
        return StoreLock(*ipc.session_place(context.settings.state, DEMO))
    return StoreLock(context.settings.state, context.state_name, standby_places(context))


def standby_places(context: RunContext) -> tuple[Path, ...]:
    """Return what stands in for the state's files while its folder cannot be written; a demo needs none."""
    from gpuwatch_tray.common import session_folder

    if context.simulated:
        return ()
    return session_folder.standby_places(context.settings.state, context.state_name)
