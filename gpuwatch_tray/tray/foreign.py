"""
pystray's own icons on Linux: appindicator and gtk, which need PyGObject and its typelibs, and xorg.

They are for a session without a bus, and for who asks for them. Each takes changes on its main loop's thread
only.
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
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from gpuwatch_tray.tray import toolkit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuwatch_tray.tray.controller import TrayView

log = logging.getLogger(__name__)

XORG = "xorg"
BUS_VARIABLE = "DBUS_SESSION_BUS_ADDRESS"
MENU_POLL = 300  # milliseconds until an open menu is looked at again
PACKAGES = "Debian and Ubuntu: python3-gi, gir1.2-gtk-3.0, gir1.2-ayatanaappindicator3-0.1"


class BackendUnavailableError(Exception):
    """One of these backends cannot draw here; the text says why in one line."""


def create_backend(kind: str, name: str, perform: Callable[[Any], None]) -> XorgBackend | GtkBackend:
    """The backend `kind` of pystray; raises Unusable."""
    icon = _icon_class(kind)
    return XorgBackend(icon, name, perform) if kind == XORG else GtkBackend(icon, name, perform)


def _icon_class(kind: str) -> Any:
    if kind != XORG:
        # Without a bus GTK's libraries would start one of their own through X11, and leave it behind.
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
    The xorg icon of pystray, all of it on one thread.

    Its own way lets every thread write to the X server. Xlib then leaves a request unsent now and then, until
    the next event: a picture that stays the old one, or an end that never comes.
    """

    class XorgIcon(base):  # type: ignore[misc]  # pystray has no types
        def __init__(self, *arguments: Any) -> None:
            self.jobs = _JobQueue()
            super().__init__(*arguments)

        def _events(self) -> Iterator[Any]:
            """What comes from the server; between that the jobs, until the end."""
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
                with contextlib.suppress(Exception):  # the server has gone, and the icon with it
                    self._window.destroy()
                    self._display.flush()

    return XorgIcon


def _gtk_icon(base: Any) -> Any:
    """The GTK icon of pystray without what it does beside drawing."""

    class GtkIcon(base):  # type: ignore[misc]  # pystray has no types
        HAS_NOTIFICATION = False  # notifiers does that; pystray's own fails without a bus

        def __init__(self, *arguments: Any) -> None:
            self._folder = Path(tempfile.mkdtemp(prefix="gpuwatch-tray-icon-"))
            self._drawn = 0
            super().__init__(*arguments)

        def _initialize(self) -> None:
            """Be ready, and leave Ctrl-C to the program, whose end is an orderly one."""
            self._notifier = _NullNotifier()
            self._mark_ready()

        def _update_fs_icon(self) -> None:
            """Write the picture where nobody else can; the name is new, for it is what panels compare."""
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
    """What a main loop that waits for a socket has to do besides; `put` and `end` never block."""

    def __init__(self) -> None:
        self.ended = False
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake_reader, self._wake_writer = socket.socketpair()
        for end in (self._wake_reader, self._wake_writer):
            end.setblocking(False)

    def put(self, job: Callable[[], None]) -> None:
        """Have the loop do `job`, also one that has yet to begin."""
        self._jobs.put(job)
        self._wake()

    def end(self) -> None:
        """The loop is to end; also from a signal's handler."""
        self.ended = True
        self._wake()

    def run_one(self) -> bool:
        """Do one on this thread; False where there is none."""
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:
            return False
        try:
            job()
        except Exception:  # else the last icon would stay, also a green one
            log.exception("drawing failed")
        return True

    def wait(self, other: Any) -> None:
        """Wait until there is something to do, or something to read from `other`."""
        select.select([self._wake_reader, other], [], [])
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(4096)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # so many have rung that it wakes all the same
            self._wake_writer.send(b"!")


class _NullNotifier:
    """In the place of pystray's notifier."""

    def hide(self) -> None:
        """There is nothing to hide."""


class PystrayLinuxBackend:
    """The tray by one of pystray's own backends."""

    def __init__(self, icon: Any, name: str, perform: Callable[[Any], None]) -> None:
        self.icon = icon(name, drawing.image(Level.NO_DATA), name, toolkit.pystray_menu((), perform))
        self._perform = perform
        self._look: object = None
        self._rows: object = ()

    def present(self, view: TrayView) -> None:
        """Show `view`; the menu is made anew only when its rows have changed."""
        if view.look != self._look:
            self.icon.icon = drawing.image(view.look)
            self._look = view.look
        self.icon.title = view.title
        if view.rows != self._rows:
            self._rows = view.rows
            self.icon.menu = toolkit.pystray_menu(view.rows, self._perform)


class XorgBackend(PystrayLinuxBackend):
    """The tray by xorg, whose main loop does the jobs."""

    def run(self, ready: Callable[[], None]) -> None:
        """Show the icon until `stop`."""
        self.post(self._appear)
        self.icon.run(lambda _icon: ready())

    def stop(self) -> None:
        """Make `run` return; from any thread, a signal's handler, and before `run`."""
        self.icon.jobs.end()

    def post(self, job: Callable[[], None]) -> None:
        """Have the main loop do `job`."""
        self.icon.jobs.put(job)

    def _appear(self) -> None:
        self.icon.visible = True


class GtkBackend(PystrayLinuxBackend):
    """The tray by GTK, whose main loop does the jobs; a menu that is open is left alone until it closes."""

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
        """Make `run` return; pystray's own way waits, and may be asked for in a signal's handler."""
        self._stopped = True
        if self._running:
            threading.Thread(target=self.icon.stop, name="tray-stop", daemon=True).start()

    def post(self, job: Callable[[], None]) -> None:
        """Have GTK's main loop do `job`, also one that has yet to begin."""

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
        """Whether our own menu is on the screen; an indicator's is the panel's, which tells nobody."""
        menu = getattr(self.icon, "_menu_handle", None)
        return menu is not None and bool(menu.get_mapped())
