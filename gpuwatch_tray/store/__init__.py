"""
The state on disk: alerts, silences, reminders, deliveries, the outbox and the inventory.

It is one SQLite file a host, as home folders are shared over NFS. Every change is one transaction.
"""

from __future__ import annotations

from gpuwatch_tray.store.attention import Attention
from gpuwatch_tray.store.backlog import Gather
from gpuwatch_tray.store.incidents import Transition
from gpuwatch_tray.store.inventory import KnownGpu
from gpuwatch_tray.store.outbox import Rest
from gpuwatch_tray.store.queued import OutboxMail, OutboxSummary
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
    "OutboxMail",
    "OutboxSummary",
    "Rest",
    "SavedState",
    "Store",
    "StoreError",
    "Transition",
]
