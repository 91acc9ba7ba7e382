"""
pystray's own backends on Linux: appindicator and gtk, which need PyGObject and its typelibs, and xorg.

They serve a session without a bus, or on request. Each takes changes on its main loop's thread only.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import queue
import select
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.tray.backends import toolkit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuwatch_tray.tray.backends.base import TrayView


log = logging.getLogger(__name__)

XORG = "xorg"
BUS_VARIABLE = "DBUS_SESSION_BUS_ADDRESS"
MENU_POLL = 300  # milliseconds between two checks of an open menu
PACKAGES = "Debian and Ubuntu: python3-gi, gir1.2-gtk-3.0, gir1.2-ayatanaappindicator3-0.1"


class BackendUnavailableError(Exception):
    """A backend that cannot draw here; the text says why in one line."""


def create_backend(kind: str, name: str, perform: Callable[[Any], None]) -> XorgBackend | GtkBackend:
    """Return pystray's backend `kind`; raises BackendUnavailableError."""
    icon = _icon_class(kind)
    return XorgBackend(icon, name, perform) if kind == XORG else GtkBackend(icon, name, perform)


def _icon_class(kind: str) -> Any:
    if kind != XORG:
        # Without a bus GTK's libraries would start one through X11, and leave it running.
        os.environ.setdefault(BUS_VARIABLE, "disabled:")
    failures: tuple[type[Exception], ...] = (ImportError, ValueError, AttributeError, OSError)
    if kind == XORG:
        with contextlib.suppress(ImportError):
            failures = (*failures, importlib.import_module("Xlib.error").DisplayError)
    try:
        icon_class = importlib.import_module(f"pystray._{kind}").Icon
    except failures as error:
        advice = "" if kind == XORG else f" ({PACKAGES})"
        raise BackendUnavailableError(f"{error}{advice}") from error
    return _xorg_icon(icon_class) if kind == XORG else _gtk_icon(icon_class)


def _xorg_icon(base: Any) -> Any:
    """
    Return pystray's xorg icon with all its work on one thread.

    pystray lets every thread write to the X server; Xlib then leaves a request unsent now and then until the
    next event: the old picture stays, or the end never comes.
    """

    class XorgIcon(base):  # type: ignore[misc]  # pystray has no types
        def __init__(self, *arguments: Any) -> None:
            self.jobs = _JobQueue()
            super().__init__(*arguments)

        def _events(self) -> Iterator[Any]:
            """Yield the server's events, and run the jobs in between, until the end."""
            while not self.jobs.ended:
                self._display.flush()
                if self._display.pending_events():
                    yield self._display.next_event()
                elif not self.jobs.run_one():
                    self.jobs.wait(self._display)

        def _run(self) -> None:
            try:
                super()._run()
            finally:
                self._running = False
                with contextlib.suppress(Exception):  # the server is gone, and the icon with it
                    self._window.destroy()
                    self._display.flush()

    return XorgIcon


def _gtk_icon(base: Any) -> Any:
    """Return pystray's GTK icon reduced to drawing."""

    class GtkIcon(base):  # type: ignore[misc]  # pystray has no types
        HAS_NOTIFICATION = False  # pystray's popups fail without a bus

        def __init__(self, *arguments: Any) -> None:
            self._folder = Path(tempfile.mkdtemp(prefix="gpuwatch-tray-icon-"))
            self._drawn = 0
            super().__init__(*arguments)

        def _initialize(self) -> None:
            """Get ready, but leave Ctrl-C to the program, which ends in order."""
            self._notifier = _NullNotifier()
            self._mark_ready()

        def _update_fs_icon(self) -> None:
            """Write the picture to a private folder, under a new name because panels compare names."""
            self._drawn += 1
            self._icon_path = str(self._folder / f"{self._drawn}.png")
            self.icon.save(self._icon_path, "PNG")
            self._icon_valid = True

        def _finalize(self) -> None:
            super()._finalize()
            with contextlib.suppress(OSError):
                self._folder.rmdir()

    return GtkIcon


class _JobQueue:
    """The jobs of a main loop that waits for a socket; `put` and `end` never block."""

    def __init__(self) -> None:
        self.ended = False
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake_reader, self._wake_writer = socket.socketpair()
        for end in (self._wake_reader, self._wake_writer):
            end.setblocking(False)

    def put(self, job: Callable[[], None]) -> None:
        """Schedule `job`, also before the loop runs."""
        self._jobs.put(job)
        self._wake()

    def end(self) -> None:
        """Make the loop end; also from a signal's handler."""
        self.ended = True
        self._wake()

    def run_one(self) -> bool:
        """Run one job on this thread; return False where there is none."""
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:
            return False
        try:
            job()
        except Exception:  # otherwise the last icon would stay, perhaps a green one
            log.exception("drawing failed")
        return True

    def wait(self, other: Any) -> None:
        """Wait for a job, or for something to read from `other`."""
        select.select([self._wake_reader, other], [], [])
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(4096)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # the socket is full: the loop wakes anyway
            self._wake_writer.send(b"!")


class _NullNotifier:
    """A stand-in for pystray's notifier."""

    def hide(self) -> None:
        """Do nothing."""


class XorgBackend(toolkit.PystrayBackend):
    """pystray's xorg backend; its main loop runs the jobs."""

    def run(self, ready: Callable[[], None]) -> None:
        """Show the icon until `stop`."""
        self.post(self._appear)
        self.icon.run(lambda _icon: ready())

    def stop(self) -> None:
        """Make `run` return; from any thread, a signal's handler, and before `run`."""
        self.icon.jobs.end()

    def post(self, job: Callable[[], None]) -> None:
        """Schedule `job` on the main loop."""
        self.icon.jobs.put(job)

    def _appear(self) -> None:
        self.icon.visible = True


class GtkBackend(toolkit.PystrayBackend):
    """pystray's GTK backends; GTK's loop runs the jobs, and an open menu stays as it is until it closes."""

    def __init__(self, icon: Any, name: str, perform: Callable[[Any], None]) -> None:
        super().__init__(icon, name, perform)
        self._glib = importlib.import_module("gi.repository.GLib")
        self._waiting: TrayView | None = None
        self._running = False
        self._stopped = False

    def run(self, ready: Callable[[], None]) -> None:
        """Show the icon until `stop`."""

        def begin(icon: Any) -> None:
            icon.visible = True
            self._running = True
            ready()
            if self._stopped:
                self.stop()

        self.icon.run(begin)

    def stop(self) -> None:
        """Make `run` return; on a thread, for pystray's stop waits, and a signal's handler must not."""
        self._stopped = True
        if self._running:
            start_thread("tray-stop", self.icon.stop)

    def post(self, job: Callable[[], None]) -> None:
        """Schedule `job` on GTK's main loop, also before it runs."""

        def once() -> bool:
            job()
            return False  # GLib would call it again

        self._glib.idle_add(once)

    def present(self, view: TrayView) -> None:
        """Show `view`, or keep it until the menu has closed."""
        if not self._menu_open():
            self._waiting = None
            super().present(view)
            return
        if self._waiting is None:
            self._glib.timeout_add(MENU_POLL, self._again)
        self._waiting = view

    def _again(self) -> bool:
        if self._menu_open():
            return True
        view, self._waiting = self._waiting, None
        if view is not None:
            super().present(view)
        return False

    def _menu_open(self) -> bool:
        """Return whether our own menu is open; an indicator's menu is the panel's, which does not say."""
        menu = getattr(self.icon, "_menu_handle", None)
        return menu is not None and bool(menu.get_mapped())
