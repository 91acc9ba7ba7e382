"""
pystray's own icons on Linux: appindicator and gtk, which need PyGObject and its typelibs, and xorg.

They are for a session without a bus, and for who asks for them. GTK takes changes on its main loop's thread
only; xorg's methods wait for its main loop, so they are called on a thread that may wait.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import queue
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import drawing
from gpuwatch_tray.model import Level
from gpuwatch_tray.tray import toolkit

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.tray.controller import View

log = logging.getLogger(__name__)

XORG = "xorg"
BUS = "DBUS_SESSION_BUS_ADDRESS"
RETRY = 300  # milliseconds until an open menu is looked at again
INSTALL = "Debian and Ubuntu: python3-gi, gir1.2-gtk-3.0, gir1.2-ayatanaappindicator3-0.1"


class Unusable(Exception):  # noqa: N818  # a state of the machine, not a mistake
    """One of these backends cannot draw here; the text says why in one line."""


def backend(kind: str, name: str, perform: Callable[[Any], None]) -> ForeignBackend:
    """The backend `kind` of pystray; raises Unusable."""
    make = ForeignBackend if kind == XORG else GtkBackend
    return make(_icon_class(kind), name, perform)


def _icon_class(kind: str) -> Any:
    if kind != XORG:
        # Without a bus GTK's libraries would start one of their own through X11, and leave it behind.
        os.environ.setdefault(BUS, "disabled:")
    failures: tuple[type[Exception], ...] = (ImportError, ValueError, AttributeError, OSError)
    if kind == XORG:
        with contextlib.suppress(ImportError):
            failures = (*failures, importlib.import_module("Xlib.error").DisplayError)
    try:
        found = importlib.import_module(f"pystray._{kind}").Icon
    except failures as error:
        mend = "" if kind == XORG else f" ({INSTALL})"
        raise Unusable(f"{error}{mend}") from error
    return found if kind == XORG else _gtk_icon(found)


def _gtk_icon(base: Any) -> Any:
    """The GTK icon of pystray without what it does beside drawing."""

    class GtkIcon(base):  # type: ignore[misc]  # pystray has no types
        HAS_NOTIFICATION = False  # notifiers does that; pystray's own fails without a bus

        def __init__(self, *words: Any) -> None:
            self._folder = Path(tempfile.mkdtemp(prefix="gpuwatch-tray-icon-"))
            self._drawn = 0
            super().__init__(*words)

        def _initialize(self) -> None:
            """Be ready, and leave Ctrl-C to the program, whose end is an orderly one."""
            self._notifier = _Silent()
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


class _Silent:
    """In the place of pystray's notifier."""

    def hide(self) -> None:
        """There is nothing to hide."""


class ForeignBackend:
    """The tray by one of pystray's own backends; here xorg, whose changes are made on a thread that waits."""

    def __init__(self, icon: Any, name: str, perform: Callable[[Any], None]) -> None:
        self.icon = icon(name, drawing.image(Level.NO_DATA), name, toolkit.menu((), perform))
        self._perform = perform
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._look: object = None
        self._rows: object = ()
        self._running = False
        self._stopped = False

    def run(self, ready: Callable[[], None]) -> None:
        """Show the icon until `stop`."""

        def begin(icon: Any) -> None:
            icon.visible = True
            self._running = True
            self._begin_jobs()
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
        """Have `job` done soon, one after the other."""
        self._jobs.put(job)

    def _begin_jobs(self) -> None:
        threading.Thread(target=self._work, name="tray-drawing", daemon=True).start()

    def _work(self) -> None:
        while not self._stopped:
            job = self._jobs.get()
            try:
                job()
            except Exception:  # else the last icon would stay, also a green one
                log.exception("drawing failed")

    def present(self, view: View) -> None:
        """Show `view`; the menu is made anew only when its rows have changed."""
        if view.look != self._look:
            self.icon.icon = drawing.image(view.look)
            self._look = view.look
        self.icon.title = view.title
        if view.rows != self._rows:
            self._rows = view.rows
            self.icon.menu = toolkit.menu(view.rows, self._perform)


class GtkBackend(ForeignBackend):
    """The tray by GTK, whose main loop does the jobs; a menu that is open is left alone until it closes."""

    def __init__(self, icon: Any, name: str, perform: Callable[[Any], None]) -> None:
        super().__init__(icon, name, perform)
        self._glib = importlib.import_module("gi.repository.GLib")
        self._waiting: View | None = None

    def post(self, job: Callable[[], None]) -> None:
        """Have GTK's main loop do `job`, also one that has yet to begin."""

        def once() -> bool:
            job()
            return False  # GLib would call it again

        self._glib.idle_add(once)

    def _begin_jobs(self) -> None:
        """GTK's main loop does them."""

    def present(self, view: View) -> None:
        """Show `view`, or keep it until the menu has closed."""
        if not self._menu_open():
            self._waiting = None
            super().present(view)
            return
        if self._waiting is None:
            self._glib.timeout_add(RETRY, self._again)
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
