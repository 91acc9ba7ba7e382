"""
The state on disk: alerts, silences, reminders, deliveries, the outbox and the inventory.

It is one SQLite file a host, as home folders are shared over NFS. Every change is one transaction.
"""

from __future__ import annotations

from gpuwatch_tray.store.incidents import Attention, Transition
from gpuwatch_tray.store.outbox import EMAIL, OutboxMail, OutboxSummary, RemainingMail
from gpuwatch_tray.store.outbox_lease import Gather
from gpuwatch_tray.store.reminders_and_gpus import KnownGpu
from gpuwatch_tray.store.store import Commit, EvaluationInputs, Mail, SavedState, Store
from gpuwatch_tray.store.tables import StoreError

__all__ = [
    "EMAIL",
    "Attention",
    "Commit",
    "EvaluationInputs",
    "Gather",
    "KnownGpu",
    "Mail",
    "OutboxMail",
    "OutboxSummary",
    "RemainingMail",
    "SavedState",
    "Store",
    "StoreError",
    "Transition",
]
