"""
A whole desktop on a machine without a screen: a shell with its compositor, in an Xvfb of its own.

`gnome` and `kde` start one; the tests speak to either by what stands here. Nothing touches this machine's own
buses, HOME or display, and whatever is left of a session at its end is ended by its process ids.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # measures the shell from outside
import pytest
from PIL import Image, ImageGrab  # and looks at the screen

from tests.e2e import screen_reading
from tests.e2e.bus_daemon import bus, end_members
from tests.e2e.client import BusClient, CallError, Monitor
from tests.e2e.programs import display, process
from tests.e2e.rig import NOTIFICATIONS, WATCHER, Desktop, settle
from tests.support.timing import PATIENCE, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Sequence

SMALL, LARGE = (1280, 800), (1920, 1080)
START = 60.0  # seconds for a shell's start on a machine that is busy
TOOLS = ("Xvfb", "xdotool", "import", "dbus-daemon", "setpriv")
RIGHT = "3"
ICON = 20  # pixels of its colour that an icon has at least
PANEL = 40  # pixels of the screen's top in which the icon is looked for

Box = tuple[int, int, int, int]  # left, top, right, bottom on the screen


@dataclass(frozen=True)
class Form:
    """In which form a desktop is started."""

    wayland: bool = False
    dark: bool = False
    size: tuple[int, int] = SMALL

    @property
    def name(self) -> str:
        return "-".join(
            ("wayland" if self.wayland else "x11", "dark" if self.dark else "light", f"{self.size[0]}")
        )


@dataclass(frozen=True)
class SeenRow:
    """A row of the menu as it is on the screen."""

    label: str
    box: Box

    @property
    def middle(self) -> tuple[int, int]:
        """Where a hand would click: on the words, which stand at the left."""
        left, top, right, bottom = self.box
        return min(left + 60, (left + right) // 2), (top + bottom) // 2


@dataclass(frozen=True)
class Cost:
    """What a shell has used: CPU seconds since its start, and resident MiB."""

    cpu: float
    memory: float


@dataclass
class WholeDesktop(Desktop):
    """The running desktop; a kind of it says how its shell is started and where its rows are."""

    form: Form = field(default_factory=Form)

    kind = ""  # in the names of pictures
    says_each_click = 1  # how often, in a popup

    # --- what each kind says --------------------------------------------------------------------------

    def start_shell(self) -> None:
        """Start the shell and wait until it takes icons and popups."""
        raise NotImplementedError

    def kill_shell(self) -> None:
        """Kill the shell as a crash does, and wait until it is gone."""
        raise NotImplementedError

    def seen(self) -> list[SeenRow]:
        """The rows of our menu that are on the screen, from top to bottom; none where it is closed."""
        raise NotImplementedError

    def unfold(self, row: SeenRow) -> None:
        """Open the submenu of a row."""
        raise NotImplementedError

    def popup_button(self, label: str) -> tuple[int, int] | None:
        """Where this button of our popup is on the screen, with the pointer moved to the popup."""
        raise NotImplementedError

    def popup_shown(self, words: str) -> bool:
        """Whether a popup with these words is on the screen."""
        raise NotImplementedError

    # --- the menu -------------------------------------------------------------------------------------

    def point(self, position: tuple[int, int]) -> None:
        """Move the pointer there as a hand does: a shell ignores one that jumped in and never moved."""
        self.move((position[0] - 3, position[1]))
        settle(0.05)
        self.move(position)
        settle(0.05)

    def press(self, position: tuple[int, int], button: str = "1") -> None:
        """Point there and click."""
        self.point(position)
        self._xdotool("click", button)

    def open_menu(self, colour: tuple[int, int, int], button: str = RIGHT) -> list[SeenRow]:
        """Click the icon of this colour, once; the rows once they stand still."""
        wait_until(self.has_menu, "the shell to have the icon's menu")
        # it moves to its place once another one has gone
        self.press(standing(lambda: self._find(colour, ICON), "the icon at its place"), button)
        wait_until(self.came, "the menu")
        return self.still()

    def has_menu(self) -> bool:
        """Whether a click on the icon can open its menu, as far as the shell says so."""
        return True

    def came(self) -> bool:
        """Whether the menu is on the screen."""
        return bool(self.seen())

    def still(self) -> list[SeenRow]:
        """The rows on the screen once they stand still."""
        return standing(self.seen, "rows on the screen that stand still")

    def still_button(self, label: str) -> tuple[int, int]:
        """Where a button of our popup is once it stands still."""
        return standing(lambda: self.popup_button(label), f"the popup's button {label!r}")

    def row(self, start: str) -> SeenRow:
        """The row on the screen whose label starts so; a shell may draw one row after the other."""
        until = time.monotonic() + PATIENCE
        while True:
            rows = self.still()
            found = [row for row in rows if row.label.startswith(start)]
            if len(found) == 1:
                return found[0]
            if time.monotonic() > until:
                labels = [row.label for row in rows]
                raise AssertionError(f"{len(found)} rows start with {start!r}: {labels}")

    def shows(self, *labels: str) -> None:
        """Wait until the rows on the screen are these."""
        seen: list[str] = []

        def are() -> bool:
            seen[:] = [row.label for row in self.still()]
            return seen == list(labels)

        try:
            wait_until(are, "")
        except AssertionError:
            raise AssertionError(f"on the screen are {seen}, and not {list(labels)}") from None

    def open_row(self, start: str) -> list[SeenRow]:
        """Open the submenu of the row whose label starts so; the rows that came."""
        row = self.row(start)
        before = {one.label for one in self.seen()}
        self.unfold(row)
        wait_until(lambda: {one.label for one in self.seen()} - before, f"the rows below {start!r}")
        return [one for one in self.still() if one.label not in before]

    def click_row(self, *path: str) -> None:
        """Open the submenus of a path and click its last row; each is told by how its label starts."""
        for start in path[:-1]:
            self.open_row(start)
        self.press(self.row(path[-1]).middle)

    def close_menu(self) -> None:
        """Close whatever menu is open."""
        if self.seen():
            self.key("Escape", "Escape", "Escape", "Escape")
            wait_until(lambda: not self.seen(), "the menu to close")
        self.move((20, self.size[1] - 20))

    # --- the screen -----------------------------------------------------------------------------------

    def picture(self, box: Box | None = None) -> Image.Image:
        """What is in this box of the screen, or on all of it."""
        return ImageGrab.grab(box, xdisplay=self.environment["DISPLAY"]).convert("RGB")

    def screenshot(self, path: Path) -> Path:
        self.picture().save(path)
        return path

    def _find(self, colour: tuple[int, int, int], pixels: int) -> tuple[int, int] | None:
        panel = self.picture((0, 0, self.size[0], PANEL))
        return screen_reading.middle_of(panel, colour, pixels)

    # --- the shell ------------------------------------------------------------------------------------

    def cost(self) -> Cost:
        """What the shell's processes have used so far."""
        cpu, memory = 0.0, 0.0
        for pid in self.shell_processes():
            seen = psutil.Process(pid)
            times = seen.cpu_times()
            cpu += times.user + times.system
            memory += seen.memory_info().rss / 2**20
        return Cost(cpu, memory)

    def shell_processes(self) -> list[int]:
        """The processes whose cost a user would see as the desktop's."""
        raise NotImplementedError

    def answers(self, seconds: float = 2.0) -> bool:
        """Whether the shell answers a ping in time."""
        peer = (self.shell_name, "/", "org.freedesktop.DBus.Peer")
        try:
            self.client.call(peer, "Ping", timeout=seconds)
        except CallError as error:
            return error.name.endswith("UnknownMethod")
        except TimeoutError:
            return False
        return True

    @property
    def shell_name(self) -> str:
        """The bus name that the shell owns."""
        raise NotImplementedError

    def has(self, *names: str) -> bool:
        """Whether all these names are owned, by a shell that lives."""
        return all(map(self.client.owner, names))

    def launch(self, role: str, command: list[str], *names: str) -> None:
        """Start a program of the desktop and wait until these names are owned; it must not end meanwhile."""
        log = self.folder / f"{role}.log"
        stack = ExitStack()
        running = stack.enter_context(process(command, self.environment, log))
        self._stack[role] = stack
        self._running[role] = running

        def up() -> bool:
            if running.poll() is not None:
                said = log.read_text()[-2000:]
                raise AssertionError(f"{command[0]} ended with {running.returncode}:\n{said}")
            return self.has(*names)

        wait_until(up, f"{command[0]} to own {', '.join(names)}", START)

    def kill(self, role: str, *names: str) -> None:
        """Kill a program of the desktop, and wait until the names are free."""
        self._running.pop(role).kill()
        self._stack.pop(role).close()
        wait_until(lambda: not any(map(self.client.owner, names)), f"the owners of {names} to be gone")

    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)


def standing(fact: Callable[[], Any], what: str) -> Any:
    """The answer of `fact` once it is there and the same twice."""
    former: list[Any] = []

    def stands() -> Any:
        former.append(fact())
        return former[-1] if len(former) > 1 and former[-1] == former[-2] else None

    return wait_until(stands, what, pause=0.15)


def require(tools: Sequence[str], files: Sequence[Path] = ()) -> None:
    """Skip the test where a desktop is not installed; under CI, where it must be, fail it."""
    lacking = [tool for tool in (*TOOLS, *tools) if shutil.which(tool) is None]
    lacking += [str(file) for file in files if not file.exists()]
    if lacking:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"the desktop needs {', '.join(lacking)}")


@contextmanager
def session(
    made: type[WholeDesktop], folder: Path, form: Form, services: Sequence[str], **variables: str
) -> Iterator[Any]:
    """The session in which a desktop of this kind is to be started: X server, buses, HOME, environment."""
    with ExitStack() as stack:
        # a socket's path may have 107 bytes (unix(7)), and pytest's folders are long
        short = tempfile.TemporaryDirectory(prefix="gw", ignore_cleanup_errors=True)
        runtime = Path(stack.enter_context(short))
        home = folder / "home"
        places = {
            "HOME": home,
            "XDG_CONFIG_HOME": home / ".config",
            "XDG_CACHE_HOME": home / ".cache",
            "XDG_DATA_HOME": home / ".local/share",
        }
        for place in places.values():
            place.mkdir(parents=True)
        environment = {
            **{name: str(place) for name, place in places.items()},
            "PATH": os.environ["PATH"],
            "USER": os.environ.get("USER", "tester"),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_SESSION_TYPE": "wayland" if form.wayland else "x11",
            "XDG_DATA_DIRS": "/usr/local/share:/usr/share",
            "XDG_CONFIG_DIRS": "/etc/xdg",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "NO_AT_BRIDGE": "1",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            **variables,
        }
        environment["DISPLAY"] = stack.enter_context(display(folder, form.size))
        stack.callback(end_members, runtime)
        address = stack.enter_context(bus(runtime, folder, environment, "system"))
        environment["DBUS_SYSTEM_BUS_ADDRESS"] = address
        address = stack.enter_context(bus(runtime, folder, environment, "session", services))
        environment["DBUS_SESSION_BUS_ADDRESS"] = address
        client = stack.enter_context(BusClient(address))
        rules = [f"type='{kind}',interface='{NOTIFICATIONS}'" for kind in ("method_call", "signal")]
        rules.append("type='method_return'")
        monitor = stack.enter_context(Monitor(address, rules))
        desk = made(folder, environment, client, monitor, size=form.size, form=form)
        stack.callback(desk.close)
        yield desk


__all__ = (
    "LARGE",
    "NOTIFICATIONS",
    "RIGHT",
    "SMALL",
    "START",
    "WATCHER",
    "Box",
    "Cost",
    "Form",
    "SeenRow",
    "WholeDesktop",
    "require",
    "session",
    "standing",
)
