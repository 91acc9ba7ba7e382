"""
The icon on the bus: org.kde.StatusNotifierItem, and its registration with the panel's watcher.

There is no Activate and ItemIsMenu is true, so that a left click opens the menu on every host: GNOME would
delay it, Plasma takes the UnknownMethod as the sign to open it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Annotated, Any

from dbus_fast import PropertyAccess  # served through bus
from dbus_fast.annotations import DBusBool, DBusInt32, DBusObjectPath, DBusSignature, DBusStr
from dbus_fast.service import ServiceInterface, dbus_property, dbus_signal

from gpuwatch_tray.bus import DBusCallError, Peer, SessionBus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

ITEM_PATH = "/StatusNotifierItem"
WATCHER = "org.kde.StatusNotifierWatcher"
REGISTER_PAUSES = (3.0, 5.0, 10.0)  # seconds to wait for a host to ask about us before registering again

DBusPixmaps = Annotated[list[list[Any]], DBusSignature("a(iiay)")]
DBusToolTip = Annotated[list[Any], DBusSignature("(sa(iiay)ss)")]

READ = PropertyAccess.READ


class StatusNotifierItem(ServiceInterface):
    """The served icon; all methods run on the bus's loop."""

    def __init__(self, name: str, menu_path: str) -> None:
        super().__init__("org.kde.StatusNotifierItem")
        self._name = name
        self._menu_path = menu_path
        self._pixmaps: list[list[Any]] = []
        self._state = ""
        self._text = ""

    def show_icon(self, pixmaps: Sequence[tuple[int, int, bytes]], state: str) -> None:
        """Show these pictures (see `drawing.pixmaps`), called `state` for those who cannot see them."""
        new = [list(pixmap) for pixmap in pixmaps]
        if (new, state) != (self._pixmaps, self._state):
            self._pixmaps, self._state = new, state
            self.new_icon()

    def show_text(self, text: str) -> None:
        """Show this line under the pointer."""
        if text != self._text:
            self._text = text
            self.new_tool_tip()

    @dbus_property(access=READ, name="Category")
    def category(self) -> DBusStr:
        """What kind of thing this is."""
        return "Hardware"

    @dbus_property(access=READ, name="Id")
    def id(self) -> DBusStr:
        """A name that stays the same over sessions."""
        return self._name

    @dbus_property(access=READ, name="Title")
    def title(self) -> DBusStr:
        """The program's name, for lists of icons; it never changes, the tooltip does."""
        return self._name

    @dbus_property(access=READ, name="Status")
    def status(self) -> DBusStr:
        """Always shown: panels tuck anything else away."""
        return "Active"

    @dbus_property(access=READ, name="WindowId")
    def window_id(self) -> DBusInt32:
        """There is no window."""
        return 0

    @dbus_property(access=READ, name="IconName")
    def icon_name(self) -> DBusStr:
        """Empty, so that hosts take the pixmap."""
        return ""

    @dbus_property(access=READ, name="IconThemePath")
    def icon_theme_path(self) -> DBusStr:
        """No theme is needed."""
        return ""

    @dbus_property(access=READ, name="IconPixmap")
    def icon_pixmap(self) -> DBusPixmaps:
        """The picture at all its sizes."""
        return self._pixmaps

    @dbus_property(access=READ, name="IconAccessibleDesc")
    def icon_accessible_desc(self) -> DBusStr:
        """The state in words; GNOME logs an error without it."""
        return f"{self._name}: {self._state}"

    @dbus_property(access=READ, name="OverlayIconName")
    def overlay_icon_name(self) -> DBusStr:
        """None."""
        return ""

    @dbus_property(access=READ, name="OverlayIconPixmap")
    def overlay_icon_pixmap(self) -> DBusPixmaps:
        """None."""
        return []

    @dbus_property(access=READ, name="AttentionIconName")
    def attention_icon_name(self) -> DBusStr:
        """None: the status never becomes NeedsAttention."""
        return ""

    @dbus_property(access=READ, name="AttentionIconPixmap")
    def attention_icon_pixmap(self) -> DBusPixmaps:
        """None."""
        return []

    @dbus_property(access=READ, name="AttentionMovieName")
    def attention_movie_name(self) -> DBusStr:
        """None."""
        return ""

    @dbus_property(access=READ, name="AttentionAccessibleDesc")
    def attention_accessible_desc(self) -> DBusStr:
        """None."""
        return ""

    @dbus_property(access=READ, name="ToolTip")
    def tool_tip(self) -> DBusToolTip:
        """The name and the status; some host or other reads each of them as markup."""
        return ["", [], self._name, self._text.replace("&", "&amp;").replace("<", "&lt;")]

    @dbus_property(access=READ, name="ItemIsMenu")
    def item_is_menu(self) -> DBusBool:
        """A click opens the menu."""
        return True

    @dbus_property(access=READ, name="Menu")
    def menu(self) -> DBusObjectPath:
        """Where the menu is served."""
        return self._menu_path

    @dbus_signal("NewIcon")
    def new_icon(self) -> None:
        """The picture has changed."""

    @dbus_signal("NewToolTip")
    def new_tool_tip(self) -> None:
        """The tooltip has changed."""


class Registration:
    """
    Keeps the icon registered with whoever is the watcher, for as long as the bus lives.

    A watcher that is not there yet, dies or comes back under another owner is the normal course of a login
    session. The item is registered by its path: by name, GNOME loses it now and then.
    """

    def __init__(self, bus: SessionBus, paths: Sequence[str], new_host: Callable[[], None]) -> None:
        self._bus = bus
        self._paths = paths
        self._new_host = new_host
        self._host_called = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Register now and with every watcher to come; on the loop's thread, with everything exported."""
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
