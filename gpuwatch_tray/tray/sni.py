"""
The tray icon over D-Bus (org.kde.StatusNotifierItem): item, registration, advice without a host, bus name.

There is no Activate and ItemIsMenu is true, so that a left click opens the menu on every host: GNOME would
delay the click, and Plasma opens the menu when Activate is an unknown method.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Annotated, Any

from dbus_fast import PropertyAccess  # served through bus
from dbus_fast.annotations import DBusBool, DBusInt32, DBusObjectPath, DBusSignature, DBusStr
from dbus_fast.service import ServiceInterface, dbus_property, dbus_signal

from gpuwatch_tray.bus import DBusCallError, Peer, SessionBus
from gpuwatch_tray.tray.dbusmenu import constant_property

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

ITEM_PATH = "/StatusNotifierItem"
WATCHER = "org.kde.StatusNotifierWatcher"
REGISTER_PAUSES = (3.0, 5.0, 10.0)  # seconds to wait for the host's first call before registering again

DBusPixmaps = Annotated[list[list[Any]], DBusSignature("a(iiay)")]
DBusToolTip = Annotated[list[Any], DBusSignature("(sa(iiay)ss)")]

READ = PropertyAccess.READ


class StatusNotifierItem(ServiceInterface):
    """The served icon; its methods run on the bus's loop."""

    def __init__(self, name: str, menu_path: str) -> None:
        super().__init__("org.kde.StatusNotifierItem")
        self._name = name
        self._menu_path = menu_path
        self._pixmaps: list[list[Any]] = []
        self._state = ""
        self._text = ""

    def show_icon(self, pixmaps: Sequence[tuple[int, int, bytes]], state: str) -> None:
        """Show these pictures (see `drawing.pixmaps`); `state` describes them for screen readers."""
        new = [list(pixmap) for pixmap in pixmaps]
        if (new, state) != (self._pixmaps, self._state):
            self._pixmaps, self._state = new, state
            self.new_icon()

    def show_text(self, text: str) -> None:
        """Show this line as the tooltip."""
        if text != self._text:
            self._text = text
            self.new_tool_tip()

    category = constant_property("Category", DBusStr, "Hardware")
    status = constant_property("Status", DBusStr, "Active")  # panels hide any other item
    window_id = constant_property("WindowId", DBusInt32, 0)
    icon_name = constant_property("IconName", DBusStr, "")  # hosts take the pixmap
    icon_theme_path = constant_property("IconThemePath", DBusStr, "")
    overlay_icon_name = constant_property("OverlayIconName", DBusStr, "")
    overlay_icon_pixmap = constant_property("OverlayIconPixmap", DBusPixmaps, [])
    # The status never becomes NeedsAttention.
    attention_icon_name = constant_property("AttentionIconName", DBusStr, "")
    attention_icon_pixmap = constant_property("AttentionIconPixmap", DBusPixmaps, [])
    attention_movie_name = constant_property("AttentionMovieName", DBusStr, "")
    attention_accessible_desc = constant_property("AttentionAccessibleDesc", DBusStr, "")
    item_is_menu = constant_property("ItemIsMenu", DBusBool, True)  # a click opens the menu

    @dbus_property(access=READ, name="Id")
    def id(self) -> DBusStr:
        """Return a name that stays the same over sessions."""
        return self._name

    @dbus_property(access=READ, name="Title")
    def title(self) -> DBusStr:
        """Return the program's name, for lists of icons."""
        return self._name

    @dbus_property(access=READ, name="IconPixmap")
    def icon_pixmap(self) -> DBusPixmaps:
        """Return the picture in all sizes."""
        return self._pixmaps

    @dbus_property(access=READ, name="IconAccessibleDesc")
    def icon_accessible_desc(self) -> DBusStr:
        """Return the state in words; GNOME logs an error without them."""
        return f"{self._name}: {self._state}"

    @dbus_property(access=READ, name="ToolTip")
    def tool_tip(self) -> DBusToolTip:
        """Return the name and the status line, escaped: some hosts read them as markup."""
        return ["", [], self._name, self._text.replace("&", "&amp;").replace("<", "&lt;")]

    @dbus_property(access=READ, name="Menu")
    def menu(self) -> DBusObjectPath:
        """Return the menu's object path."""
        return self._menu_path

    @dbus_signal("NewIcon")
    def new_icon(self) -> None:
        """Signal a new picture."""

    @dbus_signal("NewToolTip")
    def new_tool_tip(self) -> None:
        """Signal a new tooltip."""


class Registration:
    """
    The registration of the icon with the StatusNotifierWatcher, renewed for as long as the bus lives.

    In a login session the watcher may come late, die, or return under another owner. The item registers by
    its path: by name, GNOME loses it now and then.
    """

    def __init__(self, bus: SessionBus, paths: Sequence[str], new_host: Callable[[], None]) -> None:
        self._bus = bus
        self._paths = paths
        self._new_host = new_host
        self._host_called = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Register now and with every later watcher; on the loop's thread, with everything exported."""
        self._bus.observe_calls(self._note_call)
        self._bus.follow_owner(WATCHER, self._owner_changed)

    def _note_call(self, path: str) -> None:
        self._host_called = self._host_called or path in self._paths

    def _owner_changed(self, owner: str) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if owner:
            self._new_host()
            self._task = self._bus.spawn(self._register(Peer(owner, "/StatusNotifierWatcher", WATCHER)))
        else:
            log.info("no panel with a tray (%s) at the moment: the icon waits for one", WATCHER)

    async def _register(self, watcher: Peer) -> None:
        for pause in REGISTER_PAUSES:
            self._host_called = False
            try:
                await self._bus.call_async(watcher, "RegisterStatusNotifierItem", "s", [ITEM_PATH])
            except DBusCallError as error:
                log.info("the panel did not take the icon: %s", error)
            await asyncio.sleep(pause)
            if self._host_called:
                return
        log.warning("the panel took the icon but never asked for its picture or its menu")
