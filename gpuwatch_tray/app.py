"""
The composition root: settings, the source of snapshots, and the loop that the tray and `watch` share.

Nothing here decides anything; it hands the parts to each other.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray import machine, redact
from gpuwatch_tray import settings as settings_room
from gpuwatch_tray.evaluator import Evaluator, Policy
from gpuwatch_tray.lock import Holder, WatchLock, this_process
from gpuwatch_tray.messages import Letterhead
from gpuwatch_tray.model import Limits, Problem, Snapshot
from gpuwatch_tray.store import Store, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gpuwatch_tray.settings import ConfigProblem, Settings
    from gpuwatch_tray.sources import Source

log = logging.getLogger(__name__)

DEMO_POLL = 5.0  # seconds
LOOP_COOLDOWN = 60.0  # seconds: COOLDOWN_MIN=0 means every run of cron, not a mail every five seconds
ANSWER_WITHIN = 20.0  # seconds that a driver may take before a command gives it up
PROGRAM_WITHIN = 25.0  # seconds for MYGPU's program, which its source ends after 20


class SourceKind(Enum):
    """Where the numbers come from (`--source`, `--demo`, MYGPU)."""

    NVML = "nvml"
    COMMAND = "command"
    AUTO = "auto"
    DEMO = "demo"


class UsageError(Exception):
    """Wrong use or configuration: the command ends with exit code 2. One line a problem."""


class WorkError(Exception):
    """The work failed: the command ends with exit code 1."""


class Occupied(Exception):  # noqa: N818  # a state of the machine, not a mistake
    """Another process evaluates on this state; the text says which, `holder` how it is."""

    def __init__(self, holder: Holder, host: str) -> None:
        super().__init__(f"{holder} watches on {host}")
        self.holder = holder


@dataclass(frozen=True, slots=True)
class Tenure:
    """The state, and the right to evaluate on it: `report` tells those who come second of any trouble."""

    store: Store
    report: Callable[[str | None], None]


@dataclass(frozen=True, slots=True)
class Setup:
    """What every command runs with."""

    settings: Settings
    problems: tuple[ConfigProblem, ...]
    source: SourceKind
    host: str
    user: str

    @property
    def simulated(self) -> bool:
        """Whether this is a demo: labelled, with a throw-away state, and without mail."""
        return self.source is SourceKind.DEMO

    @property
    def state_name(self) -> str:
        """
        What the state is called: this host's, or that of what MYGPU watches.

        Home folders are shared over NFS, and two watched machines share no alert, no cooldown and no lock.
        """
        if self.source is not SourceKind.COMMAND:
            return self.host
        digest = hashlib.sha256(self.settings.mygpu.encode(errors="surrogateescape")).hexdigest()
        return f"{self.host}-{digest[:8]}"

    @property
    def head(self) -> Letterhead:
        """Who writes the mails."""
        return Letterhead(self.host, self.user, redact.visible(str(self.settings.config)))

    @property
    def policy(self) -> Policy:
        """What evaluations go by."""
        return Policy(
            self.settings.limits, self.settings.cooldown, bool(self.settings.to_email) and not self.simulated
        )

    def require(self) -> None:
        """Raise UsageError with every problem of the configuration, if there is one."""
        if self.problems:
            raise UsageError("\n".join(str(problem) for problem in self.problems))


def set_up(environ: Mapping[str, str], asked: SourceKind | None) -> Setup:
    """Read the settings and settle the source: as asked, else `command` when MYGPU is set, else `nvml`."""
    settings, problems = settings_room.load(environ)
    kind = asked or (SourceKind.COMMAND if settings.mygpu else SourceKind.NVML)
    if kind is SourceKind.AUTO and settings.mygpu:
        kind = SourceKind.COMMAND
    if kind is SourceKind.COMMAND and not settings.mygpu:
        raise UsageError("--source command needs the variable MYGPU: a program that prints the process list")
    setup = Setup(settings, problems, kind, machine.host(), machine.user(environ))
    if kind is SourceKind.AUTO:
        setup = _settle_auto(setup)
    return _as_demo(setup) if setup.simulated else setup


def _settle_auto(setup: Setup) -> Setup:
    """The real GPUs where there is a driver, even one that fails; simulated ones where there is none."""
    probe = replace(setup, source=SourceKind.NVML)
    source = open_source(probe)
    try:
        problem = read_once(probe, source).problem
    finally:
        source.close()
    return replace(setup, source=SourceKind.DEMO) if problem is not None and problem.no_driver else probe


def _as_demo(setup: Setup) -> Setup:
    from gpuwatch_tray.sources import simulated

    # The story is told by its own rules and at its own pace, whatever the user's settings are.
    limits = simulated.demo_limits(Limits(max_etime=setup.settings.limits.max_etime))
    settings = replace(setup.settings, limits=limits, poll=min(setup.settings.poll, DEMO_POLL))
    return replace(setup, problems=(), settings=settings)


def open_source(setup: Setup, store: Store | None = None) -> Source:
    """The source that `setup` settled on; `store` remembers what the command source has seen."""
    # Late imports: a demo needs no driver library, the command source no psutil.
    if setup.source is SourceKind.DEMO:
        from gpuwatch_tray.sources.simulated import SimulatedSource

        return SimulatedSource(setup.user, max_etime=setup.settings.limits.max_etime)
    if setup.source is SourceKind.COMMAND:
        from gpuwatch_tray.sources.command import CommandSource

        sightings = {} if store is None else store.sightings()
        source = CommandSource(setup.settings.mygpu, sightings=sightings, user=setup.user)
        return source if store is None else _Remembering(source, sightings, store)
    from gpuwatch_tray.sources.nvml import NvmlSource

    return NvmlSource()


class _Remembering:
    """A command source whose sightings outlive the process, so that cron's next run knows them."""

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
                log.warning("%s", error)  # what was read counts all the same
            else:
                self._saved = dict(self._sightings)
        return snapshot

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def read_once(setup: Setup, source: Source) -> Snapshot:
    """One snapshot for a command, bounded in time."""
    return read_within(source, PROGRAM_WITHIN if setup.source is SourceKind.COMMAND else ANSWER_WITHIN)


def read_within(source: Source, seconds: float) -> Snapshot:
    """
    One snapshot, or after `seconds` one whose problem says that the driver hangs.

    The call runs on a daemon thread, which a driver stuck in the kernel may keep for ever.
    """
    result: list[Snapshot] = []
    failure: list[BaseException] = []

    def read() -> None:
        try:
            result.append(source.read())
        except BaseException as error:  # noqa: BLE001  # raised again below, on the caller's thread
            failure.append(error)

    thread = threading.Thread(target=read, name="read", daemon=True)
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    if result:
        return result[0]
    mend = "see whether `nvidia-smi` hangs too; `dmesg` may say why"
    hang = Problem(f"{source.name}: no answer within {seconds:g} s", mend)
    return Snapshot(source.name, time.time(), problem=hang)


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


@contextmanager
def tenure(setup: Setup, face: str) -> Iterator[Tenure]:
    """The state, together with the right to evaluate on it; raises Occupied where another has that."""
    with state_folder(setup) as folder:
        lock = WatchLock(folder, setup.state_name)

        def report(trouble: str | None) -> None:
            lock.describe(this_process(face, mails=setup.policy.mails, trouble=trouble))

        if not lock.acquire(this_process(face, mails=setup.policy.mails)):
            raise Occupied(lock.holder(), setup.host)
        try:
            with closing(Store(folder, setup.state_name)) as store:
                yield Tenure(store, report)
        finally:
            lock.release()


def evaluator(
    setup: Setup, store: Store, clock: Callable[[], float] = time.time, *, loop: bool = True
) -> Evaluator:
    """The evaluator of this set-up on this store; a `loop` keeps a pause between equal mails in any case."""
    policy = setup.policy
    if loop:
        policy = replace(policy, cooldown=max(policy.cooldown, LOOP_COOLDOWN))
    return Evaluator(store, policy, setup.head, clock)
