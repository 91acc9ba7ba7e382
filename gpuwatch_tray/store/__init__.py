"""
The state on disk: incidents, attention, deliveries, the outbox, the inventory, in one SQLite file a host.

Times are wall times, with the boot's own clock beside them where a span is measured. Every change is one
transaction. The file is per host, as home folders are shared over NFS; any number of processes may hold it
open.
"""

from __future__ import annotations

from gpuwatch_tray.store import handover
from gpuwatch_tray.store.attention import Attention
from gpuwatch_tray.store.backlog import Gather
from gpuwatch_tray.store.incidents import Transition
from gpuwatch_tray.store.inventory import KnownGpu
from gpuwatch_tray.store.outbox import Rest
from gpuwatch_tray.store.queued import OutboxSummary, QueuedMail
from gpuwatch_tray.store.samplereader import UseDetail, read_samples
from gpuwatch_tray.store.samples import SampleStore
from gpuwatch_tray.store.schema import StoreError
from gpuwatch_tray.store.state import Store
from gpuwatch_tray.store.step import Commit, EvaluationInputs, Mail, SavedState

__all__ = [
    "Attention",
    "Commit",
    "EvaluationInputs",
    "Gather",
    "KnownGpu",
    "Mail",
    "OutboxSummary",
    "QueuedMail",
    "Rest",
    "SampleStore",
    "SavedState",
    "Store",
    "StoreError",
    "Transition",
    "UseDetail",
    "handover",
    "read_samples",
]
