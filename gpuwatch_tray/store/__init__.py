"""
The state on disk: alerts, deliveries, the outbox and the sightings, in one SQLite file a host.

Times are wall times. Every change is one transaction. The file is per host, as home folders are shared
over NFS; any number of processes may hold it open.
"""

from __future__ import annotations

from gpuwatch_tray.store.outbox import Queued, Waiting
from gpuwatch_tray.store.schema import StoreError
from gpuwatch_tray.store.state import Store

__all__ = ["Queued", "Store", "StoreError", "Waiting"]
