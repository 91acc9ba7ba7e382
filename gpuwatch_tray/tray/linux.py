"""The backend over StatusNotifierItem, which pystray lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray import drawing, terms
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Level
from gpuwatch_tray.tray import dbusmenu, sni, toolkit

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.bus import SessionBus
    from gpuwatch_tray.tray.controller import TrayView
    from gpuwatch_tray.tray.menu import MenuAction


class StatusNotifierIcon(toolkit.BaseIcon):  # type: ignore[misc]  # pystray has no types
    """
    A pystray Icon that a panel shows; the bus's loop is its main loop.

    The constructor exports everything, before `run` and on the same thread: a failure later would leave
    pystray's setup thread waiting and the process alive.
    """

    HAS_DEFAULT_ACTION = False
    HAS_NOTIFICATION = False  # popups go over the same bus

    def __init__(self, bus: SessionBus, name: str) -> None:
        self.look = drawing.IconLook(Level.NO_DATA)
        super().__init__(name, drawing.icon_image(self.look), name)
        self._bus = bus
        self._item = sni.StatusNotifierItem(name, dbusmenu.MENU_PATH)
        self._dbusmenu = dbusmenu.DBusMenu(bus.loop)
        self._update_icon()
        bus.export(dbusmenu.MENU_PATH, self._dbusmenu)
        bus.export(sni.ITEM_PATH, self._item)
        self._registration = sni.Registration(
            bus, (sni.ITEM_PATH, dbusmenu.MENU_PATH), self._dbusmenu.new_host
        )

    def draw(self, look: drawing.IconLook) -> None:
        """Draw the icon by `look`; where that raises, the look stays as it was."""
        drawing.icon_pixmaps(look)
        self.look, self.icon = look, drawing.icon_image(look)
        self._update_icon()  # pystray draws only a visible icon; the picture must be right before that

    def _update_icon(self) -> None:
        look = self.look
        words = terms.translate_key(drawing.NAMES[look.level])
        if look.badge is not None:
            words = _("{state}, {count} in use").format(state=words, count=look.badge)
        self._bus.post(lambda: self._item.show_icon(drawing.icon_pixmaps(look), words))
        self._icon_valid = True

    def _update_title(self) -> None:
        title = self.title
        self._bus.post(lambda: self._item.show_text(title))

    def _update_menu(self) -> None:
        rows = toolkit.host_entries(self.menu, self)
        self._bus.post(lambda: self._dbusmenu.update(rows))

    def _show(self) -> None:
        self._update_title()
        self._bus.post(self._registration.start)

    def _hide(self) -> None:
        """Do nothing: the icon ends when we leave the bus, for which the protocol has no other way."""

    def _run(self) -> None:
        self._mark_ready()
        try:
            self._bus.run()
        finally:
            self._running = False

    def _run_detached(self) -> None:
        raise NotImplementedError("the bus's loop needs a thread of its own: use run")

    def _stop(self) -> None:
        self._bus.stop()


class StatusNotifierBackend:
    """The tray on Linux; call `post` and `stop` from any thread, `present` on the loop's."""

    needs_panel = True

    def __init__(self, bus: SessionBus, name: str, perform: Callable[[MenuAction], None]) -> None:
        self._bus = bus
        self._perform = perform
        self._rows: Any = None
        self.icon = StatusNotifierIcon(bus, name)

    def run(self, ready: Callable[[], None]) -> None:
        """Show the icon until `stop`; call `ready` on a thread of its own once it is exported."""

        def begin(icon: Any) -> None:
            icon.visible = True
            ready()

        self.icon.run(begin)

    def stop(self) -> None:
        """Make `run` return."""
        self._bus.stop()

    def post(self, job: Callable[[], None]) -> None:
        """Schedule `job` on the loop's thread."""
        self._bus.post(job)

    def present(self, view: TrayView) -> None:
        """Show `view`; send only what differs from the last one."""
        self.icon.title = view.title
        if view.rows != self._rows:
            self._rows = view.rows
            self.icon.menu = toolkit.pystray_menu(view.rows, self._perform, separator=toolkit.separator_item)
        if view.look != self.icon.look:
            self.icon.draw(view.look)
