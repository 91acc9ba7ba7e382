"""The run's source: opened, reconfigured, and read within bounded time."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from gpuwatch_tray.context import RunContext, SourceKind
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Problem, Snapshot
from gpuwatch_tray.store import Store, StoreError
from gpuwatch_tray.within import call_with_timeout

if TYPE_CHECKING:
    from gpuwatch_tray.sources import Source

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
    """Read one snapshot for a command, within the source's time."""
    return read_with_timeout(
        source, PROGRAM_TIMEOUT if context.source is SourceKind.COMMAND else DRIVER_TIMEOUT
    )


def read_with_timeout(source: Source, seconds: float) -> Snapshot:
    """
    Read a snapshot; after `seconds` return one whose problem says that the driver hangs.

    A driver that is stuck in the kernel may block the reading thread for ever.
    """
    try:
        return call_with_timeout(seconds, source.read, "read")
    except TimeoutError:
        mend = _("see whether `nvidia-smi` hangs too; `dmesg` may say why")
        hang = Problem(
            _("{source}: no answer within {seconds:g} s").format(source=source.name, seconds=seconds), mend
        )
        return Snapshot(source.name, time.time(), problem=hang)
