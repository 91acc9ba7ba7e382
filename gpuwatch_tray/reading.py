"""The source that was settled on: made, and read once within bounded time."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from gpuwatch_tray.context import Setup, SourceKind
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Problem, Snapshot
from gpuwatch_tray.store import Store, StoreError
from gpuwatch_tray.within import call_with_timeout

if TYPE_CHECKING:
    from gpuwatch_tray.sources import Source

log = logging.getLogger(__name__)

ANSWER_WITHIN = 20.0  # seconds that a driver may take before a command gives it up
PROGRAM_WITHIN = 25.0  # seconds for MYGPU's program, which its source ends after 20


def open_source(setup: Setup, store: Store | None = None) -> Source:
    """The source that `setup` settled on; `store` remembers what the command source has seen."""
    # Late imports: a demo needs no driver library, the command source no psutil.
    if setup.source is SourceKind.DEMO:
        from gpuwatch_tray.sources.simulated import MAX_ETIME, SimulatedSource

        limit = setup.settings.limits.max_etime
        return SimulatedSource(setup.user, max_etime=MAX_ETIME if limit is None else limit)
    if setup.source is SourceKind.COMMAND:
        from gpuwatch_tray.sources.command import CommandSource

        sightings = {} if store is None else store.sightings()
        source = CommandSource(setup.settings.mygpu, first_seen=sightings, user=setup.user)
        return source if store is None else _Remembering(source, sightings, store)
    from gpuwatch_tray.sources.nvml import NvmlSource

    return NvmlSource(wake_sleeping=setup.settings.wake_gpu)


def adjust(source: Source, setup: Setup) -> None:
    """Have an open source go by these settings."""
    if setup.source is SourceKind.NVML:
        from gpuwatch_tray.sources.nvml import NvmlSource

        if isinstance(source, NvmlSource):
            source.wake_sleeping(wake=setup.settings.wake_gpu)


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

    A driver stuck in the kernel may keep the thread that asks it for ever.
    """
    try:
        return call_with_timeout(seconds, source.read, "read")
    except TimeoutError:
        mend = _("see whether `nvidia-smi` hangs too; `dmesg` may say why")
        hang = Problem(
            _("{source}: no answer within {seconds:g} s").format(source=source.name, seconds=seconds), mend
        )
        return Snapshot(source.name, time.time(), problem=hang)
