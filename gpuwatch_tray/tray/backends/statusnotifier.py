"""
The tray icon over D-Bus (org.kde.StatusNotifierItem): item, registration, advice without a host, bus name.

A left click opens the menu (ItemIsMenu) on the hosts that do so, some of which call Activate first and take
UnknownMethod for a no; on others Activate shows the details page.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING, Annotated, Any

from dbus_fast import DBusError, ErrorType, PropertyAccess  # served through bus
from dbus_fast.annotations import DBusBool, DBusInt32, DBusObjectPath, DBusSignature, DBusStr
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property, dbus_signal

from gpuwatch_tray import drawing, i18n
from gpuwatch_tray.common.text import escape_markup
from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.desktop.dbus import DAEMON, DBusCallError, Peer, SessionBus
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import Level
from gpuwatch_tray.tray.backends.dbusmenu import GNOME, MENU_PATH, DBusMenu, DBusNothing, constant_property
from gpuwatch_tray.tray.backends.nodes import menu_entries, widened
from gpuwatch_tray.tray.menu import ActionKind, MenuAction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpuwatch_tray.tray.backends.base import TrayView
    from gpuwatch_tray.tray.menu import MenuRow


log = logging.getLogger(__name__)

ITEM_PATH = "/StatusNotifierItem"
WATCHER = "org.kde.StatusNotifierWatcher"
FIRST_VIEW = 1.0  # seconds to wait for something to show before registering
# Seconds after which NewIcon is sent again: GNOME drops one that comes while it sets up the item, so after a
# host's first call; and its extension's version 59 (GNOME 48) keeps one that comes within some 0.3 s of
# another for the next signal, so after each change.
ICON_REPEATS = (0.3, 1.5)
# The programs, by the owner of the watcher's name, that open the menu at a left click.
MENU_AT_CLICK = frozenset({"gnome-shell", "kded5", "kded6", "plasmashell", "xfce4-panel", "waybar"})
NO_TOOLTIP = frozenset({"gnome-shell"})
RICH_TEXT = frozenset({"kded5", "kded6", "plasmashell"})  # a line break is a tag there
# A title is plain text to some hosts, and markup to others: what differs is replaced by what looks alike.
SAME_IN_MARKUP = str.maketrans({"&": "\uff06", "<": "\u2039"})
ROWS_AGE = 30.0  # seconds that the numbers of a menu may be old of which nobody is known to look at it
REGISTER_PAUSES = (3.0, 5.0, 10.0)  # seconds to wait for the host's first call before registering again

DBusPixmaps = Annotated[list[list[Any]], DBusSignature("a(iiay)")]
DBusToolTip = Annotated[list[Any], DBusSignature("(sa(iiay)ss)")]

READ = PropertyAccess.READ


class StatusNotifierItem(ServiceInterface):
    """The served icon; its methods run on the bus's loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, name: str, menu_path: str, show_details: Callable[[], None]
    ) -> None:
        super().__init__("org.kde.StatusNotifierItem")
        self._loop = loop
        self.program = ""  # of the host
        self._name = name
        self._menu_path = menu_path
        self._show_details = show_details
        self._pixmaps: list[list[Any]] = []
        self._state = ""
        self._text = ""
        self._lines: tuple[str, ...] = ()

    def show_icon(self, pixmaps: Sequence[tuple[int, int, bytes]], state: str) -> None:
        """Show these pictures (see `drawing.pixmaps`); `state` describes them for screen readers."""
        new = [list(pixmap) for pixmap in pixmaps]
        if (new, state) != (self._pixmaps, self._state):
            self._pixmaps, self._state = new, state
            self.new_icon()
            if self.program == GNOME:
                self.repeat_icon()

    def repeat_icon(self) -> None:
        """Signal the picture again a little later."""
        for pause in ICON_REPEATS:
            self._loop.call_later(pause, self.new_icon)

    def show_text(self, text: str, lines: tuple[str, ...] = ()) -> None:
        """Show this as the tooltip, `lines` below it; some hosts show the first line only, GNOME nothing."""
        lines = () if self.program in NO_TOOLTIP else lines
        if (text, lines) != (self._text, self._lines):
            self._text, self._lines = text, lines
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
        """Return the status line as the title, and the lines below it, which are markup."""
        line_break = "<br>" if self.program in RICH_TEXT else "\n"
        below = line_break.join(map(escape_markup, self._lines))
        return ["", [], self._text.translate(SAME_IN_MARKUP), below]

    @dbus_property(access=READ, name="Menu")
    def menu(self) -> DBusObjectPath:
        """Return the menu's object path."""
        return self._menu_path

    @dbus_method("Activate")
    def activate(self, x: DBusInt32, y: DBusInt32) -> DBusNothing:
        """Show the details page, on a host that does not open the menu."""
        del x, y
        if self.program in MENU_AT_CLICK:
            raise DBusError(ErrorType.UNKNOWN_METHOD, "a click opens the menu")
        self._show_details()

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

    def __init__(
        self,
        bus: SessionBus,
        paths: Sequence[str],
        new_host: Callable[[str], None],
        first_call: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._paths = paths
        self._new_host = new_host  # with the name of its program
        self._first_call = first_call
        self._callers: set[str] = set()
        self._started = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Register now and with every later watcher; on the loop's thread, with everything exported."""
        if not self._started:
            self._started = True
            self._bus.observe_calls(self._note_call)
            self._bus.follow_owner(WATCHER, self._owner_changed)

    def _note_call(self, caller: str, path: str) -> None:
        if path in self._paths and caller not in self._callers:
            self._callers.add(caller)
            self._first_call()

    def _owner_changed(self, owner: str) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if owner:
            self._task = self._bus.spawn(self._register(Peer(owner, "/StatusNotifierWatcher", WATCHER)))
        else:
            log.info("no panel with a tray (%s) at the moment: the icon waits for one", WATCHER)

    async def _register(self, watcher: Peer) -> None:
        program = await self._bus.program_of(watcher.name)
        self._new_host(program)
        for number, pause in enumerate(REGISTER_PAUSES):
            self._callers.clear()
            try:
                await self._bus.call_async(watcher, "RegisterStatusNotifierItem", "s", [ITEM_PATH])
            except DBusCallError as error:
                log.info("the panel did not take the icon: %s", error)
            if not number:  # after the icon: redaction's patterns take 8 ms of a log's first line
                log.info("the panel's program: %s", program or "?")
            await asyncio.sleep(pause)
            if self._callers:
                return
        log.warning("the panel took the icon but never asked for its picture or its menu")


HOST_TIMEOUT = 60.0  # seconds: a panel may start late at login
ADVICE_STATUS = N_("Until then, `gpuwatch-tray status` shows the current state.")
ADVICE_GNOME = N_(
    "GNOME shows tray icons only with its extension “AppIndicator and KStatusNotifierItem Support”:"
    " install it from extensions.gnome.org (Debian and Ubuntu: gnome-shell-extension-appindicator),"
    " log in again and enable it."
)
ADVICE_WLROOTS = N_(
    "waybar shows tray icons with its module “tray”: add it to the modules in waybar's configuration."
)
ADVICE_ANY = N_(
    "No program here shows tray icons: start a panel with a tray (StatusNotifier),"
    " such as xfce4-panel, lxqt-panel or waybar."
)
WLROOTS_DESKTOPS = frozenset({"sway", "wlroots", "hyprland", "river", "labwc", "wayfire", "niri"})


def panel_advice(environ: Mapping[str, str]) -> str:
    """Return what to install on this desktop, by XDG_CURRENT_DESKTOP."""
    desktops = {name.lower() for name in environ.get("XDG_CURRENT_DESKTOP", "").split(":")}
    if any(name.startswith("gnome") or name in {"ubuntu", "unity"} for name in desktops):
        return f"{_(ADVICE_GNOME)} {_(ADVICE_STATUS)}"
    return f"{_(ADVICE_WLROOTS if desktops & WLROOTS_DESKTOPS else ADVICE_ANY)} {_(ADVICE_STATUS)}"


class MissingHostDetector:
    """
    A detector that calls `notify` once when no host has shown tray icons for `timeout` seconds in a row.

    It counts on the bus's loop and notifies on a thread of its own, for the notice may itself use the bus.
    """

    def __init__(
        self,
        bus: SessionBus,
        notify: Callable[[str], None],
        environ: Mapping[str, str],
        timeout: float = HOST_TIMEOUT,
    ) -> None:
        self._bus = bus
        self._notify = notify
        self._advice = panel_advice(environ)
        self._timeout = timeout
        self._countdown: asyncio.TimerHandle | None = None
        self._notified = False

    def start(self) -> None:
        """Start; from any thread."""
        self._bus.on_lost(self._cancel)  # a lost bus is no missing panel
        self._bus.follow_owner(WATCHER, self._owner_changed)

    def _owner_changed(self, owner: str) -> None:
        if owner:
            self._cancel()
        elif self._countdown is None and not self._notified:
            self._countdown = self._bus.loop.call_later(self._timeout, self._timed_out)

    def _cancel(self) -> None:
        if self._countdown is not None:
            self._countdown.cancel()
            self._countdown = None

    def _timed_out(self) -> None:
        self._countdown = None
        self._notified = True
        log.warning("no tray: %s", self._advice)
        start_thread("no-host", self._notify, self._advice)


BUS_NAME = "io.github.gpuwatch_tray"
DO_NOT_QUEUE = 4
PRIMARY_OWNER, ALREADY_OWNER = 1, 4


def bus_name_for(source_id: str = "") -> str:
    """Return the bus name for a source, such as `demo`; "" stands for this machine's own GPUs."""
    if not source_id:
        return BUS_NAME
    return f"{BUS_NAME}.s{hashlib.sha256(source_id.encode(errors='surrogateescape')).hexdigest()[:8]}"


def claim_name(bus: SessionBus, name: str) -> int | None:
    """
    Claim the bus name; return None when it is ours, else its owner's PID (0 where the bus does not say).

    The lock keeps two processes from one state; the name also keeps two trays of a session from one source
    with different state folders. Call it before the bus's loop runs, on the thread that connected. A bus
    that does not answer costs the name only.
    """
    try:
        return bus.loop.run_until_complete(_request_name(bus, name))
    except DBusCallError as error:
        log.warning("the name %s could not be taken: %s", name, error)
        return None


async def _request_name(bus: SessionBus, name: str) -> int | None:
    (answer,) = await bus.call_async(DAEMON, "RequestName", "su", [name, DO_NOT_QUEUE])
    if answer in {PRIMARY_OWNER, ALREADY_OWNER}:
        return None
    try:
        (pid,) = await bus.call_async(DAEMON, "GetConnectionUnixProcessID", "s", [name])
    except DBusCallError:
        return 0
    return int(pid)


class StatusNotifierBackend:
    """
    The tray on Linux; call `post` and `stop` from any thread, `present` on the loop's.

    The constructor exports everything, so that what a bus refuses is known before the loop runs.
    """

    needs_panel = True

    def __init__(self, bus: SessionBus, name: str, perform: Callable[[MenuAction], None]) -> None:
        self._bus = bus
        self._perform = perform
        self._item = StatusNotifierItem(
            bus.loop, name, MENU_PATH, lambda: perform(MenuAction(ActionKind.SHOW_DETAILS))
        )
        self.dbus_menu = DBusMenu(bus.loop, lambda: bus.caller)
        self.dbus_menu.before_use = self._build_menu
        self._look = self._draw(drawing.IconLook(Level.NO_DATA))
        self._view: TrayView | None = None
        self._rows: tuple[MenuRow, ...] | None = None
        self._outline: object = None
        self._built_at = float("-inf")
        bus.export(MENU_PATH, self.dbus_menu)
        bus.export(ITEM_PATH, self._item)
        self._registration = Registration(bus, (ITEM_PATH, MENU_PATH), self.new_host, self._item.repeat_icon)

    def run(self, ready: Callable[[], None]) -> None:
        """Show the icon until `stop`; call `ready` on a thread of its own."""
        self._bus.post(lambda: self._bus.loop.call_later(FIRST_VIEW, self._registration.start))
        start_thread("tray-ready", ready)
        self._bus.run()

    def stop(self) -> None:
        """Make `run` return."""
        self._bus.stop()

    def post(self, job: Callable[[], None]) -> None:
        """Schedule `job` on the loop's thread."""
        self._bus.post(job)

    def present(self, view: TrayView) -> None:
        """
        Show `view`; send only what differs from the last one.

        The menu of a program whose panel asks before it opens it is built then: nobody sees it before.
        """
        self._item.show_text(view.title, view.details)
        self._view = view
        old = self._bus.loop.time() >= self._built_at + ROWS_AGE
        known = view.outline is not None and view.outline == self._outline
        if old or not known or self.dbus_menu.may_be_seen():
            self._build_menu()
        if view.look != self._look:
            self._look = self._draw(view.look)
        if view.look.level is not Level.NO_DATA:  # there is something to show
            self._registration.start()

    def new_host(self, program: str) -> None:
        """Serve a panel of this program from now on; on the loop's thread."""
        self._item.program = program
        self.dbus_menu.new_host(program)

    def _draw(self, look: drawing.IconLook) -> drawing.IconLook:
        """Draw the icon by `look`, and return it; where that raises, the last picture stays."""
        words = i18n.translate_key(drawing.NAMES[look.level])
        if look.badge is not None:
            words = _("{state}, {count} in use").format(state=words, count=look.badge)
        self._item.show_icon(drawing.icon_pixmaps(look), words)
        return look

    def _build_menu(self) -> None:
        """Build the menu of the last view, unless that is done."""
        view, self._view = self._view, None
        if view is None:
            return
        self._outline, self._built_at = view.outline, self._bus.loop.time()
        rows = tuple(view.rows)
        if rows != self._rows:
            self._rows = rows
            self.dbus_menu.update(widened(menu_entries(rows, self._perform)))
