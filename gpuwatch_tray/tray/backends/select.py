"""
The choice of the backend that draws the icon, and the backend that draws nothing.

On Linux it is our own over the session bus; without a bus, or where PYSTRAY_BACKEND asks for it, one of
pystray's. pystray's xorg icon has no menu, so it is used on request only.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.desktop.dbus import SessionBus
    from gpuwatch_tray.tray.backends.base import Backend, TrayView


log = logging.getLogger(__name__)

VARIABLE = "PYSTRAY_BACKEND"
DUMMY = "dummy"
PYSTRAY_NATIVE = {"win32": "win32", "darwin": "darwin"}  # the systems on which pystray draws
PYSTRAY_LINUX = ("appindicator", "gtk", "xorg")
DEFAULT_FALLBACKS = ("appindicator", "gtk")


class HeadlessBackend:
    """The backend without an icon, where there is no tray."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def run(self, ready: Callable[[], None]) -> None:
        """Wait for `stop`."""
        ready()
        self._stopped.wait()

    def stop(self) -> None:
        """Make `run` return; from any thread."""
        self._stopped.set()

    def post(self, job: Callable[[], None]) -> None:
        """Drop `job`: nothing is drawn."""

    def present(self, view: TrayView) -> None:
        """Drop `view`: nothing is drawn."""


def requested_backend(environ: Mapping[str, str]) -> str:
    """Return the backend that PYSTRAY_BACKEND names, else ""; raises ValueError for one unknown here."""
    kind = environ.get(VARIABLE, "")
    available = (PYSTRAY_NATIVE[sys.platform],) if sys.platform in PYSTRAY_NATIVE else PYSTRAY_LINUX
    if kind and kind not in {*available, DUMMY}:
        text = _("{variable}: expected {names} or unset, got {got!r}")
        raise ValueError(text.format(variable=VARIABLE, names=", ".join((*available, DUMMY)), got=kind))
    return kind


def select_backend(
    bus: SessionBus | None,
    name: str,
    perform: Callable[[Any], None],
    environ: Mapping[str, str] = os.environ,
) -> Backend | None:
    """Return the backend of this system and session, None where nothing can be drawn; raises ValueError."""
    # Late imports: what one system draws with is not installed on the others.
    kind = requested_backend(environ)
    if kind != DUMMY and sys.platform in PYSTRAY_NATIVE:
        from gpuwatch_tray.tray.backends.pystray_native import NativeBackend

        return NativeBackend(name, perform)
    if kind != DUMMY:
        found = _pystray_linux(kind, bus, name, perform, environ)
        if found is not None:
            return found
        if bus is not None:
            from gpuwatch_tray.tray.backends.statusnotifier import StatusNotifierBackend

            return StatusNotifierBackend(bus, name, perform)
    return None


def headless_backend(bus: SessionBus | None) -> Backend:
    """Return the backend for a session without a tray; the bus, where there is one, still carries popups."""
    return _with_bus(HeadlessBackend(), bus)


def _pystray_linux(
    kind: str,
    bus: SessionBus | None,
    name: str,
    perform: Callable[[Any], None],
    environ: Mapping[str, str],
) -> Backend | None:
    """Return pystray's backend `kind`, or without a bus the first that works; None for none."""
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        if kind:
            log.warning("no icon by %s: neither DISPLAY nor WAYLAND_DISPLAY is set", kind)
        return None
    candidates = dict.fromkeys([*filter(None, [kind]), *(DEFAULT_FALLBACKS if bus is None else ())])
    if not candidates:
        return None
    from gpuwatch_tray.tray.backends import pystray_linux

    for candidate in candidates:
        try:
            return _with_bus(pystray_linux.create_backend(candidate, name, perform), bus)
        except pystray_linux.BackendUnavailableError as error:
            log.warning("no icon by %s: %s", candidate, error)
    return None


def _with_bus(backend: Backend, bus: SessionBus | None) -> Backend:
    if bus is None:
        return backend

    return BackendBesideBus(backend, bus)


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
