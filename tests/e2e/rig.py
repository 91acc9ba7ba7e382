"""
A real desktop on a machine without a screen: Xvfb, a session bus, a panel, a notification daemon.

`desktop(folder)` starts it with a HOME and a runtime folder of its own and ends each process by its id. The
panel is one of `hosts`. The tools are Debian packages: see tests/packages.txt.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dbus_fast import MessageType, Variant  # the tests speak the protocol too
from PIL import Image  # and look at screenshots

from tests.e2e.client import BusClient, CallError, Monitor
from tests.e2e.hosts import HOSTS, XFCE_HOST, Host
from tests.e2e.programs import SCREEN, display, process, session_bus
from tests.support.timing import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = (
    "NOTIFICATIONS",
    "SCREEN",
    "WATCHER",
    "Desktop",
    "MenuRow",
    "Shown",
    "desktop",
    "display",
    "menu_row",
    "notifyd",
    "process",
    "require",
    "session_bus",
    "settle",
    "shots",
)

WATCHER = "org.kde.StatusNotifierWatcher"
NOTIFICATIONS = "org.freedesktop.Notifications"
ROOM = "\u2007\u200b"  # behind the row that keeps the menu as wide as it may become
TOOLS = (
    "Xvfb",
    "xdotool",
    "import",
    "dbus-daemon",
    "setpriv",
    "dunst",
    "rsvg-convert",
    "faketime",
    *(tool for host in HOSTS.values() for tool in host.tools),
)
DUNST = "[global]\nfont = DejaVu Sans 10\nwidth = 420\norigin = bottom-right\nmarkup = full\n"


def notifyd() -> list[str]:
    """Return the path of xfce4-notifyd, which is in no PATH; empty where it is not installed."""
    return [str(path) for path in Path("/usr/lib").glob("*/xfce4/notifyd/xfce4-notifyd")]


def missing() -> list[str]:
    """Return the tools of the desktop that this machine lacks."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    return lacking if notifyd() else [*lacking, "xfce4-notifyd"]


def require() -> None:
    """Skip the test where the tools are missing; under CI, where they must be there, fail it."""
    if lacking := missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"the desktop needs {', '.join(lacking)}")


@dataclass(frozen=True)
class MenuRow:
    """
    One row of the menu, as GetLayout gives it; `label` with its underscores undoubled.

    `ticked` is dbusmenu's toggle-state: 1 or 0 where the row can bear a tick.
    """

    id: int
    label: str
    enabled: bool
    separator: bool
    children: tuple[MenuRow, ...]
    ticked: int = -1

    def walk(self) -> Iterator[MenuRow]:
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class Shown:
    """One Notify call that the notification daemon answered; `actions` are ids and labels in turn."""

    id: int
    replaces: int
    title: str
    body: str
    actions: list[str]
    hints: dict[str, Any]


def menu_row(layout: list[Any]) -> MenuRow:
    """Read a `(ia{sv}av)` of GetLayout, without its invisible rows."""
    number, properties, children = layout
    return MenuRow(
        number,
        properties.get("label", "").replace("__", "_").rstrip(ROOM),
        properties.get("enabled", True),
        properties.get("type") == "separator",
        tuple(menu_row(child) for child in children if child[1].get("visible", True)),
        properties["toggle-state"] if properties.get("toggle-type") == "checkmark" else -1,
    )


@dataclass
class Desktop:
    """The running desktop."""

    folder: Path
    environment: dict[str, str]
    client: BusClient
    monitor: Monitor
    host: Host = XFCE_HOST
    size: tuple[int, int] = SCREEN
    _stack: dict[str, ExitStack] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The session bus's address."""
        return self.environment["DBUS_SESSION_BUS_ADDRESS"]

    # --- programs -------------------------------------------------------------------------------------

    def start_panel(self) -> None:
        """Start the panel and wait until it takes icons."""
        self._start("panel", self.host.command(self.folder), WATCHER, self.host.user)

    def stop_panel(self) -> None:
        """End the panel, and its watcher with it."""
        self._stop("panel", WATCHER)

    def start_notifier(self, name: str) -> None:
        """Start a notification daemon, `dunst` or `xfce4-notifyd`, and wait until it answers."""
        config = self.folder / "home/.config/dunst/dunstrc"
        command = ["dunst", "-config", str(config)] if name == "dunst" else notifyd()
        self._start("notifier", command, NOTIFICATIONS)

    def stop_notifier(self) -> None:
        """End the notification daemon."""
        self._stop("notifier", NOTIFICATIONS)

    def _start(self, role: str, command: list[str], name: str, user: tuple[str, ...] = ()) -> None:
        stack = ExitStack()
        stack.enter_context(process(command, self.environment, self.folder / f"{role}.log", user))
        self._stack[role] = stack
        wait_until(lambda: self.client.owner(name), f"{command[0]} to own {name}")

    def _stop(self, role: str, name: str) -> None:
        self._stack.pop(role).close()
        wait_until(lambda: not self.client.owner(name), f"the owner of {name} to be gone")

    # --- the screen -----------------------------------------------------------------------------------

    def screenshot(self, path: Path) -> Path:
        """Save the screen as PNG."""
        subprocess.run(["import", "-window", "root", str(path)], env=self.environment, check=True, timeout=60)
        return path

    def icon_position(
        self, colour: tuple[int, int, int], timeout: float = PATIENCE, pixels: int = 20
    ) -> tuple[int, int]:
        """Return the middle of the panel's icon, found by its fill; an AssertionError if it is hidden."""
        what = f"an icon of colour {colour} in the panel"
        return wait_until(lambda: self._find(colour, pixels), what, timeout)

    def icon_gone(self, colour: tuple[int, int, int], timeout: float = PATIENCE) -> None:
        """Wait until no icon of this fill is in the panel."""
        wait_until(lambda: self._find(colour, 20) is None, f"the icon of colour {colour} to go", timeout)

    def _find(self, colour: tuple[int, int, int], pixels: int) -> tuple[int, int] | None:
        with Image.open(self.screenshot(self.folder / "looking.png")) as shot:
            panel = shot.convert("RGB").crop((0, 0, self.size[0], 40))
        flat = panel.tobytes()
        found = [
            divmod(place // 3, self.size[0])
            for place in range(0, len(flat), 3)
            if all(abs(flat[place + part] - colour[part]) <= 6 for part in range(3))
        ]
        if len(found) < pixels:
            return None
        ys, xs = zip(*found, strict=True)
        return (min(xs) + max(xs)) // 2, (min(ys) + max(ys)) // 2

    def windows(self) -> set[str]:
        """Return the ids of the windows on the screen."""
        answer = self._xdotool("search", "--onlyvisible", "--name", ".*", check=False)
        return set(answer.split())

    def move(self, position: tuple[int, int]) -> None:
        """Put the pointer there."""
        self._xdotool("mousemove", str(position[0]), str(position[1]))

    def right_click(self, position: tuple[int, int]) -> None:
        """Click the right button there."""
        self.move(position)
        self._xdotool("click", "3")

    def left_click(self, position: tuple[int, int]) -> None:
        """Click the left button there."""
        self.move(position)
        self._xdotool("click", "1")

    def close_menu(self) -> None:
        """Close whatever menu is open, by a click on the empty screen."""
        self.left_click((20, self.size[1] - 20))

    def key(self, *names: str) -> None:
        """Press keys, such as `Down` and `Escape`."""
        self._xdotool("key", "--delay", "60", *names)

    def _xdotool(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            ["xdotool", *words], env=self.environment, check=check, timeout=60, capture_output=True, text=True
        )
        return done.stdout

    # --- the bus --------------------------------------------------------------------------------------

    def item(self) -> tuple[str, str, str]:
        """Return the registered icon as a peer to call; an AssertionError if there is none."""
        peer = (WATCHER, "/StatusNotifierWatcher", WATCHER)

        def registered() -> list[str]:
            try:
                return self.client.get_all(peer).get("RegisteredStatusNotifierItems", [])
            except CallError:
                return []

        name, path = wait_until(registered, "an icon registered with the panel")[0].split("/", 1)
        return name.removesuffix("@"), f"/{path}", "org.kde.StatusNotifierItem"  # GNOME writes NAME@/PATH

    def menu(self) -> tuple[MenuRow, ...]:
        """Return the rows of the icon's menu."""
        _revision, layout = self.client.call(self._menu_peer(), "GetLayout", "iias", 0, -1, [])
        return menu_row(layout).children

    def labels(self) -> list[str]:
        """Return the labels of all rows in order, submenus included."""
        return [row.label for top in self.menu() for row in top.walk() if not row.separator]

    def click(self, label: str) -> None:
        """Click the row of this label, as a host does; of several the one at the top, or the last."""
        menu = self.menu()
        rows = [row for row in menu if row.label == label]
        rows = rows or [row for top in menu for row in top.walk() if row.label == label][-1:]
        if len(rows) != 1:
            raise AssertionError(f"{len(rows)} rows are called {label!r}: {self.labels()}")
        data = (rows[0].id, "clicked", Variant("i", 0), 0)
        self.client.call(self._menu_peer(), "Event", "isvu", *data)

    def _menu_peer(self) -> tuple[str, str, str]:
        item = self.item()
        return item[0], self.client.get_all(item)["Menu"], "com.canonical.dbusmenu"

    def clear_popups(self) -> None:
        """Take from the screen what the tests before left there: it would get the next click."""
        subprocess.run(["dunstctl", "close-all"], env=self.environment, check=True, timeout=60)

    def notifications(self) -> list[Shown]:
        """Return the popups shown so far, oldest first; a relay that passes them on says nothing new."""
        relay = self.client.owner(NOTIFICATIONS)
        heard = list(self.monitor.heard)
        answers = {
            (one.destination, one.reply_serial): one.body[0]
            for one in heard
            if one.kind is MessageType.METHOD_RETURN and one.body
        }
        return [
            Shown(answers[one.sender, one.serial], *(one.body[place] for place in (1, 3, 4, 5, 6)))
            for one in heard
            if one.member == "Notify" and one.sender != relay and (one.sender, one.serial) in answers
        ]

    def closed_notifications(self) -> list[int]:
        """Return the ids of the popups whose closing was requested."""
        return [one.body[0] for one in list(self.monitor.heard) if one.member == "CloseNotification"]

    def close(self) -> None:
        for stack in reversed(list(self._stack.values())):
            stack.close()


@contextmanager
def desktop(
    folder: Path,
    *,
    host: Host = XFCE_HOST,
    panel: bool = True,
    notifier: str | None = "dunst",
    dark: bool = True,
) -> Iterator[Desktop]:
    """Run the whole desktop; it writes under `folder`, or beside it where another user must reach it."""
    with ExitStack() as stack:
        if host.user:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpuwatch-desktop-")))
            folder.chmod(0o755)
        home, runtime = folder / "home", folder / "runtime"
        for place in (home, runtime):
            place.mkdir(mode=0o700, parents=True)
        dunst = home / ".config/dunst/dunstrc"
        dunst.parent.mkdir(parents=True)
        dunst.write_text(DUNST)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "USER": os.environ.get("USER", "tester"),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_CURRENT_DESKTOP": host.desktop,
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "NO_AT_BRIDGE": "1",
            "GSETTINGS_BACKEND": "memory",
        }
        environment["DISPLAY"] = stack.enter_context(display(folder))
        address = stack.enter_context(session_bus(runtime, environment, anybody=bool(host.user)))
        environment["DBUS_SESSION_BUS_ADDRESS"] = address
        client = stack.enter_context(BusClient(address))
        rules = [
            f"type='method_call',interface='{NOTIFICATIONS}'",
            "type='method_return'",
        ]
        monitor = stack.enter_context(Monitor(address, rules))
        host.prepare(folder, environment, stack, dark=dark)
        running = Desktop(folder, environment, client, monitor, host)
        stack.callback(running.close)
        if panel:
            running.start_panel()
        if notifier is not None:
            running.start_notifier(notifier)
        yield running


def shots(default: Path) -> Path:
    """Where screenshots are kept: GPUWATCH_TEST_SHOTS, or `default`."""
    place = Path(os.environ.get("GPUWATCH_TEST_SHOTS") or default)
    place.mkdir(parents=True, exist_ok=True)
    return place


def settle(seconds: float = 0.4) -> None:
    """Give the panel time to draw what cannot be asked for, before a screenshot."""
    time.sleep(seconds)
