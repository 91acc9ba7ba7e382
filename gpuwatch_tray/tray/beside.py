"""A backend beside the session bus's loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.within import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.bus import SessionBus
    from gpuwatch_tray.tray.controller import Backend, TrayView

JOIN_TIMEOUT = 2.0  # seconds in which the bus's loop is to end


class BackendBesideBus:
    """A backend on the main thread with the bus's loop on another thread, for the popups go over the bus."""

    def __init__(self, backend: Backend, bus: SessionBus) -> None:
        self._backend = backend
        self._bus = bus

    def run(self, ready: Callable[[], None]) -> None:
        """Run the backend and the bus's loop until `stop`."""
        bus_thread = start_thread("session-bus", self._bus.run)
        try:
            self._backend.run(ready)
        finally:
            self._bus.stop()
            bus_thread.join(JOIN_TIMEOUT)

    def stop(self) -> None:
        """Make `run` return; from any thread."""
        self._backend.stop()

    def post(self, job: Callable[[], None]) -> None:
        """Schedule `job` on the drawing thread."""
        self._backend.post(job)

    def present(self, view: TrayView) -> None:
        """Draw `view`."""
        self._backend.present(view)
