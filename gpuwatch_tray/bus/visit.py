"""A short connection to the session bus."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpuwatch_tray.bus.session import SessionBus

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAVE_TIMEOUT = 1.0  # seconds for the loop to end


@contextmanager
def temporary_session(address: str | None = None, *, timeout: float = 3.0) -> Iterator[SessionBus]:
    """Connect to the session bus with its loop on a thread of its own; raises BusUnavailableError."""
    bus = SessionBus.connect(address, timeout=timeout)
    loop_thread = threading.Thread(target=bus.run, name="bus visit", daemon=True)
    loop_thread.start()
    try:
        yield bus
    finally:
        bus.stop()
        loop_thread.join(LEAVE_TIMEOUT)
        if not loop_thread.is_alive():
            bus.close()
