"""
GNOME Shell with the AppIndicator extension, as an X11 or a nested Wayland session.

Of GNOME 43 and later. The shell says itself what is on its stage: an extension of the tests answers on the
session bus, and changes nothing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbus_fast import Variant  # the tests speak the protocol too

from tests.e2e.client import BusClient
from tests.e2e.programs import process
from tests.e2e.rig import ROOM, settle
from tests.e2e.whole_desktop import (
    NOTIFICATIONS,
    START,
    WATCHER,
    Form,
    SeenRow,
    WholeDesktop,
    require,
    session,
)
from tests.support.timing import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

EXTENSIONS = Path("/usr/share/gnome-shell/extensions")
INDICATOR = "ubuntu-appindicators@ubuntu.com"
ASKABLE = "askable@tests"
SHELL = "org.gnome.Shell"
MANAGER = "org.gnome.DisplayManager"
LOGIN = "org.freedesktop.login1"
MOCK = "org.freedesktop.DBus.Mock"
PYTHON = "/usr/bin/python3"  # dbusmock is a package of the distribution
SERVICES = (
    "org.gnome.Shell.Notifications",
    "org.gnome.ScreenSaver",
    "org.gnome.Shell.Extensions",
    "org.gnome.Shell.CalendarServer",
    "ca.desrt.dconf",
)
SETTINGS = """[org/gnome/shell]
enabled-extensions={extensions!r}
welcome-dialog-last-shown-version='999'
disable-extension-version-validation=true
[org/gnome/desktop/interface]
enable-animations=false
color-scheme='{scheme}'
[org/gnome/desktop/session]
idle-delay=uint32 0
[org/gnome/desktop/screensaver]
lock-enabled=false
[org/gnome/desktop/lockdown]
disable-lock-screen=true
[org/gnome/shell/extensions/appindicator]
icon-opacity=255
"""
ASK = ("tests.Askable", "/tests/Askable", "tests.Askable")
BODY = f"""
const INTERFACE = '<node><interface name="{ASK[2]}"><method name="Ask">' +
    '<arg type="s" direction="in"/><arg type="s" direction="out"/></method></interface></node>';
class Askable {{
    Ask(code) {{
        return JSON.stringify(eval(code)) ?? 'null';
    }}
    enable() {{
        this._served = Gio.DBusExportedObject.wrapJSObject(INTERFACE, this);
        this._served.export(Gio.DBus.session, '{ASK[1]}');
        this._name = Gio.bus_own_name_on_connection(Gio.DBus.session, '{ASK[0]}', 0, null, null);
    }}
    disable() {{
        Gio.bus_unown_name(this._name);
        this._served.unexport();
    }}
}}
"""
MODULE = f"""import Gio from 'gi://Gio';
import * as Main from 'resource:///org/gnome/shell/ui/main.js';
{BODY}
export default Askable;
"""
SCRIPT = f"""const Gio = imports.gi.Gio, Main = imports.ui.main;
{BODY}
function init() {{ return new Askable(); }}
"""
MODULES_SINCE = 45  # the GNOME whose extensions are modules

# What the shell is asked: the rows of the menu that is open, and what can be read and pressed in a popup.
BOX = """const box = actor => {
    const [x, y] = actor.get_transformed_position(), [w, h] = actor.get_transformed_size();
    return [x, y, x + w, y + h].map(Math.round);
};"""
ROWS = (
    "(() => {"
    + BOX
    + """
    const found = [];
    // whether a hand can reach it: lists that get too little height scroll
    const reached = actor => {
        const [, top, , bottom] = box(actor), middle = (top + bottom) / 2;
        for (let above = actor.get_parent(); above; above = above.get_parent()) {
            const [, first, , last] = box(above);
            if (above.constructor.name.includes('ScrollView') && (middle < first || middle > last))
                return false;
        }
        return middle < global.stage.height;
    };
    const walk = menu => {
        for (const item of menu._getMenuItems()) {
            if (!item.mapped)
                continue;
            if (reached(item))
                found.push([item.label && item.label.text || '', box(item)]);
            if (item.menu && item.menu.isOpen)
                walk(item.menu);
        }
    };
    for (const [role, icon] of Object.entries(Main.panel.statusArea))
        if (role.startsWith('appindicator') && icon.menu && icon.menu.isOpen)
            walk(icon.menu);
    return found;
})()"""
)
MENUS = """Object.entries(Main.panel.statusArea)
    .filter(([role]) => role.startsWith('appindicator')).map(([, icon]) => !icon.menu.isEmpty())"""
POPUP = (
    "(() => {"
    + BOX
    + """
    const found = [];
    const walk = actor => {
        if (!actor.mapped)
            return;
        const button = actor.constructor.name.includes('Button') && actor.label;
        const words = button ? actor.label : actor.text;
        if (typeof words === 'string' && words)
            found.push([button ? 'button' : 'text', words, box(actor)]);
        actor.get_children().forEach(walk);
    };
    walk(Main.messageTray);
    return [found, box(Main.messageTray._bannerBin)];
})()"""
)


@dataclass
class Gnome(WholeDesktop):
    """A running GNOME Shell."""

    kind = "gnome"
    says_each_click = 2  # by the shell and by its relay

    def start_shell(self) -> None:
        """Start it, and leave the overview in which a session begins and where menus hide."""
        command = ["gnome-shell", "--sm-disable"]
        if self.form.wayland:
            # its one output is a window at the corner of the X server's screen, where xdotool clicks
            command += ["--nested", "--wayland", "--no-x11", "--wayland-display=wayland-9"]
        else:
            command.append("--x11")
        self.launch("gnome-shell", command, SHELL, WATCHER, NOTIFICATIONS, ASK[0])
        wait_until(
            lambda: self.ask("Main.layoutManager._startingUp === false"), "the shell to have started", START
        )
        wait_until(self._out_of_the_overview, "the overview to be left", START, pause=0.2)
        if os.getuid() == 0:  # it warns of that, and other popups would wait behind
            wait_until(lambda: self.popup()[0], "the warning that root is logged in")
            self.ask("Main.messageTray.getSources().forEach(source => source.destroy())")
            wait_until(lambda: not self.popup()[0], "the warning to go")

    def kill_shell(self) -> None:
        """Kill it, its icons' watcher with it."""
        self.kill("gnome-shell", SHELL, WATCHER, ASK[0])

    def ask(self, code: str) -> Any:
        """What this expression is in the shell."""
        (answer,) = self.client.call(ASK, "Ask", "s", code)
        return json.loads(answer)

    def _out_of_the_overview(self) -> bool:
        if self.ask("Main.overview.visible"):
            self.ask("Main.overview.hide()")
            return False
        return True

    def has_menu(self) -> bool:
        """The icon is there before its rows are, and a click at an empty menu does nothing."""
        return bool(self.ask(MENUS) == [True])

    def seen(self) -> list[SeenRow]:
        """As the shell says what is on its stage."""
        return [row for row in self.seen_lines() if row.label]

    def seen_lines(self) -> list[SeenRow]:
        """The rows and the lines between them, which have no words."""
        return [SeenRow(label.rstrip(ROOM), tuple(box)) for label, box in self.ask(ROWS)]

    def unfold(self, row: SeenRow) -> None:
        """By a click: it unfolds in place."""
        self.press(row.middle)

    def popup(self) -> tuple[list[list[Any]], list[int]]:
        """What is in the banner on the screen, and where this is."""
        found, box = self.ask(POPUP)
        return found, box

    def popup_button(self, label: str) -> tuple[int, int] | None:
        """The buttons of a normal one are under the pointer only."""
        (left, top, right, _bottom) = self.popup()[1]
        self.point(((left + right) // 2, top + 30))
        settle(0.3)
        boxes = [box for kind, words, box in self.popup()[0] if kind == "button" and words == label]
        return ((boxes[0][0] + boxes[0][2]) // 2, (boxes[0][1] + boxes[0][3]) // 2) if boxes else None

    def popup_shown(self, words: str) -> bool:
        return any(words in text for kind, text, _box in self.popup()[0])

    def shell_processes(self) -> list[int]:
        return [self._running["gnome-shell"].pid]

    @property
    def shell_name(self) -> str:
        return SHELL


def version() -> int:
    """The installed GNOME Shell's major version."""
    done = subprocess.run(
        ["gnome-shell", "--version"], check=True, capture_output=True, text=True, timeout=20
    )
    found = re.search(r"(\d+)\.", done.stdout)
    assert found, done.stdout
    return int(found[1])


def _askable(data: Path) -> None:
    """The tests' own extension, in the form that this GNOME loads."""
    folder = data / "gnome-shell/extensions" / ASKABLE
    folder.mkdir(parents=True)
    release = version()
    about = {"uuid": ASKABLE, "name": ASKABLE, "description": "For tests", "shell-version": [str(release)]}
    (folder / "metadata.json").write_text(json.dumps(about))
    (folder / "extension.js").write_text(MODULE if release >= MODULES_SINCE else SCRIPT)


@contextmanager
def gnome(folder: Path, form: Form) -> Iterator[Gnome]:
    """The whole desktop, everything it writes under `folder`."""
    require(("gnome-shell", "gjs"), (EXTENSIONS / INDICATOR, Path("/usr/lib/python3/dist-packages/dbusmock")))
    variables = {
        "XDG_CURRENT_DESKTOP": "GNOME",
        "XDG_SESSION_DESKTOP": "gnome",
        "DESKTOP_SESSION": "gnome",
        "XDG_SESSION_ID": "c1",
        "GSETTINGS_BACKEND": "keyfile",
        "GTK_A11Y": "none",
        "MUTTER_DEBUG_DUMMY_MODE_SPECS": f"{form.size[0]}x{form.size[1]}",
    }
    with session(Gnome, folder, form, SERVICES, **variables) as desk:
        home = Path(desk.environment["XDG_CONFIG_HOME"])
        settings = home / "glib-2.0/settings/keyfile"
        settings.parent.mkdir(parents=True)
        scheme = "prefer-dark" if form.dark else "default"
        settings.write_text(SETTINGS.format(extensions=[INDICATOR, ASKABLE], scheme=scheme))
        _askable(Path(desk.environment["XDG_DATA_HOME"]))
        with _system_services(desk):
            desk.start_shell()
            yield desk


@contextmanager
def _system_services(desk: Gnome) -> Iterator[None]:
    """What the shell asks of the system: its session of logind, and a display manager, or a banner warns."""
    mock = [PYTHON, "-m", "dbusmock", "--system"]
    manager = [*mock, MANAGER, "/org/gnome/DisplayManager/Manager", f"{MANAGER}.Manager"]
    with (
        process([*mock, "--template", "logind"], desk.environment, desk.folder / "logind.log"),
        process(manager, desk.environment, desk.folder / "gdm.log"),
        BusClient(desk.environment["DBUS_SYSTEM_BUS_ADDRESS"]) as system,
    ):
        wait_until(lambda: system.owner(LOGIN) and system.owner(MANAGER), "the system's services", 20)
        login = (LOGIN, "/org/freedesktop/login1", MOCK)
        system.call(login, "AddSession", "ssusb", "c1", "seat0", os.getuid(), "tester", True)
        gdm = (MANAGER, "/org/gnome/DisplayManager/Manager", MOCK)
        system.call(gdm, "AddProperty", "ssv", f"{MANAGER}.Manager", "Version", Variant("s", "43.0"))
        system.call(gdm, "AddMethod", "sssss", f"{MANAGER}.Manager", "RegisterSession", "a{sv}", "", "")
        yield
