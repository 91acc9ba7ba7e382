"""
KDE Plasma, as an X11 or a nested Wayland session: kwin, kded with the icons' watcher, plasmashell.

Of Plasma 5 and 6. Nobody can be asked where its rows are: they are read off the screen, and named in the
order in which the tray serves them.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image  # looks at screenshots

from tests.e2e import screen_reading
from tests.e2e.rig import menu_row
from tests.e2e.whole_desktop import (
    NOTIFICATIONS,
    RIGHT,
    START,
    WATCHER,
    Box,
    Form,
    SeenRow,
    WholeDesktop,
    require,
    session,
    standing,
)
from tests.support.timing import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.e2e.rig import MenuRow

PLASMA = "org.kde.plasmashell"
DAEMONS = {"6": "kded6", "5": "kded5"}  # by Plasma's version, the newest first
SERVICES = (
    "org.kde.kglobalaccel",
    "org.kde.ActivityManager",
    "org.kde.kded5",
    "org.kde.kded6",
    "org.kde.kiod5",
    "org.kde.kiod6",
    "org.kde.plasma.Notifications",
    "ca.desrt.dconf",
)
# the watcher is all that is wanted of kded
UNWANTED = (
    *("appmenu", "apperlauncher", "baloosearchmodule", "bluedevil", "colorcorrectlocationupdater"),
    *("desktopnotifier", "device_automounter", "donationmessage", "freespacenotifier", "geotimezoned"),
    *("kcookiejar", "kded_touchpad", "keyboard", "kscreen", "ksysguard", "ktimezoned", "networkmanagement"),
    *("networkstatus", "printmanager", "proxyscout", "remotenotifier", "smart", "soliduiserver"),
)
ITEMS = (
    *("notifications", "clipboard", "battery", "devicenotifier", "mediacontroller", "keyboardlayout"),
    *("manage-inputmethod", "bluetooth", "networkmanagement", "volume", "vault", "nightcolorcontrol"),
    *("brightness", "cameraindicator", "keyboardindicator", "weather"),
)
# one thin panel along the top: a spacer, the icons, all of them shown, and the clock
LAYOUT = f"""[Containments][1]
activityId=
formfactor=0
immutability=1
lastScreen=0
location=0
plugin=org.kde.desktopcontainment
wallpaperplugin=org.kde.color

[Containments][2]
activityId=
formfactor=2
immutability=1
lastScreen=0
location=3
plugin=org.kde.panel

[Containments][2][Applets][3]
immutability=1
plugin=org.kde.plasma.panelspacer

[Containments][2][Applets][4]
immutability=1
plugin=org.kde.plasma.systemtray

[Containments][2][Applets][4][Configuration]
SystrayContainmentId=5

[Containments][2][Applets][6]
immutability=1
plugin=org.kde.plasma.digitalclock

[Containments][2][General]
AppletOrder=3;4;6

[Containments][5]
activityId=
formfactor=2
immutability=1
lastScreen=0
location=3
plugin=org.kde.plasma.private.systemtray

[Containments][5][General]
extraItems=org.kde.plasma.notifications
knownItems={",".join(f"org.kde.plasma.{item}" for item in ITEMS)},org.kde.kscreen,org.kde.kdeconnect,touchpad
showAllItems=true
"""
# a picture, and a panel that comes and goes at the edge, would be in the way of those who read the screen
PLAIN = """desktops().forEach(desktop => { desktop.wallpaperPlugin = 'org.kde.color'; });
panels().forEach(panel => { panel.floating = false; });"""


@dataclass
class Kde(WholeDesktop):
    """A running Plasma."""

    kind = "kde"
    _menus: screen_reading.Menus = field(
        default_factory=lambda: screen_reading.Menus(Image.new("RGB", (1, 1)))
    )
    _path: list[int] = field(default_factory=list)  # the ids of the rows whose lists are open

    def start_session(self) -> None:
        """Start what plasmashell stands on: the compositor, and the daemon that has the watcher."""
        if self.form.wayland:
            self._start_compositor()
        else:
            self.launch("kwin", ["kwin_x11"], "org.kde.KWin")
        self.launch("kded", [DAEMONS[version()]], WATCHER)

    def _start_compositor(self) -> None:
        """Its one output is a window at the corner of the X server's screen, where xdotool clicks."""
        # the packaged file carries capabilities, which a container refuses to execute; a copy has none
        compositor = shutil.copy(shutil.which("kwin_wayland") or "", self.folder / "kwin_wayland")
        width, height = map(str, self.form.size)
        command = [str(compositor), "--x11-display", self.environment["DISPLAY"], "--width", width]
        command += ["--height", height, "--no-lockscreen", "--no-global-shortcuts", "--socket", "wayland-9"]
        self.launch("kwin", command, "org.kde.KWin")
        socket = Path(self.environment["XDG_RUNTIME_DIR"]) / "wayland-9"
        wait_until(socket.exists, "the compositor's socket", START)
        self.environment |= {"WAYLAND_DISPLAY": socket.name, "QT_QPA_PLATFORM": "wayland"}

    def start_shell(self) -> None:
        """Start plasmashell, and wait until its panel takes icons."""
        self.launch("plasmashell", ["plasmashell", "--no-respawn"], PLASMA, NOTIFICATIONS)
        watcher = (WATCHER, "/StatusNotifierWatcher", WATCHER)
        wait_until(
            lambda: self.client.get_all(watcher).get("IsStatusNotifierHostRegistered"),
            "the panel's icons",
            START,
        )
        self.client.call((PLASMA, "/PlasmaShell", "org.kde.PlasmaShell"), "evaluateScript", "s", PLAIN)
        self.move((20, self.size[1] - 20))
        wait_until(self._empty, "the desktop to be drawn", START, pause=0.4)

    def kill_shell(self) -> None:
        """Kill plasmashell; the watcher stays."""
        self.kill("plasmashell", PLASMA, NOTIFICATIONS)

    # --- what is on the screen ------------------------------------------------------------------------

    def look(self) -> Image.Image:
        """The screen as it is."""
        return self.picture()

    def _empty(self) -> bool:
        """Whether the desktop has been drawn and stands still; it is what menus and popups are told from."""
        former, self._menus.blank = self._menus.blank, self.look()
        panel = self._menus.blank.crop((0, 0, self.size[0], screen_reading.PANEL))
        below = self._menus.blank.crop((0, screen_reading.PANEL + 8, *self.size))
        drawn = panel.getcolors(2) is None and len(below.getcolors(2) or ()) == 1
        return drawn and former.tobytes() == self._menus.blank.tobytes()

    def open_menu(self, colour: tuple[int, int, int], button: str = RIGHT) -> list[SeenRow]:
        self._path = []
        return super().open_menu(colour, button)

    def came(self) -> bool:
        picture = self.look()
        return self._menus.opened(picture) and self._is_whole(picture, self._menus.lists[0].box, 0)

    def _is_whole(self, picture: Image.Image, box: Box, depth: int) -> bool:
        """Whether the list in this box has as many rows as are served; while it opens, some may lack."""
        served = [row for row in self._lists()[depth] if not row.separator]
        return len(screen_reading.rows(picture, box)) == len(served)

    def seen(self) -> list[SeenRow]:
        """The rows of letters, with the labels that are served; with "?" where these are not as many."""
        found: list[SeenRow] = []
        shown = self._menus.shown(self.look())
        for rows, served in zip(shown, self._lists() if shown else [], strict=False):
            labels = [row.label for row in served if not row.separator]
            named = labels if len(labels) == len(rows) else ["?"] * len(rows)
            found += [SeenRow(label, row) for label, row in zip(named, rows, strict=True)]
        return found

    def _lists(self) -> list[Sequence[MenuRow]]:
        """The rows that are served for the root and for each list that is open below it, and no more."""
        depth = len(self._path) + 1
        _revision, layout = self.client.call(self._menu_peer(), "GetLayout", "iias", 0, depth, [])
        lists: list[Sequence[MenuRow]] = [menu_row(layout).children]
        for number in self._path:
            lists.append(next((row.children for row in lists[-1] if row.id == number), ()))
        return lists

    def unfold(self, row: SeenRow) -> None:
        """By a click."""
        depth = max(
            place for place, served in enumerate(self._lists()) if row.label in {one.label for one in served}
        )
        (number,) = [one.id for one in self._lists()[depth] if one.label == row.label]
        self._menus.lists, self._path = self._menus.lists[: depth + 1], [*self._path[:depth], number]
        before = self.look()
        # the pointer's mark moves among the rows of that list, and is somewhat higher than they are
        above = self._menus.lists[depth].box
        rows = screen_reading.rows(before, above)
        ignored = [(left, top - 4, right, bottom + 4) for left, top, right, bottom in rows]
        ignored += screen_reading.frame(above)
        self.press(row.middle)

        def came() -> Box | None:
            picture = self.look()
            box = screen_reading.new_list(before, picture, ignored)
            return box if box and self._is_whole(picture, box, depth + 1) else None

        box = standing(came, f"the rows below {row.label!r} on the screen")
        self._menus.lists.append(screen_reading.OpenList(box, before))

    def popup_box(self) -> Box | None:
        """Where a popup is on the screen."""
        box = screen_reading.differing(self.look(), self._menus.blank)
        return box if box and box[2] - box[0] > screen_reading.LEAST else None

    def popup_button(self, label: str) -> tuple[int, int] | None:
        actions = self.notifications()[-1].actions
        labels = [words for name, words in zip(actions[::2], actions[1::2], strict=True) if name != "default"]
        box = self.popup_box()
        places = screen_reading.buttons(self.look(), box, len(labels)) if box else []
        return places[labels.index(label)] if len(places) == len(labels) else None

    def popup_shown(self, words: str) -> bool:
        last = self.notifications()[-1:]
        return self.popup_box() is not None and any(words in f"{one.title} {one.body}" for one in last)

    # --- the shell ------------------------------------------------------------------------------------

    @property
    def shell_name(self) -> str:
        return PLASMA

    def shell_processes(self) -> list[int]:
        return [self._running["plasmashell"].pid, self._running["kded"].pid]


def version() -> str:
    """The installed Plasma's major version."""
    return next((number for number, daemon in DAEMONS.items() if shutil.which(daemon)), "5")


@contextmanager
def kde(folder: Path, form: Form) -> Iterator[Kde]:
    """The whole desktop, everything it writes under `folder`."""
    daemon = DAEMONS[version()]
    require(("plasmashell", "kwin_wayland" if form.wayland else "kwin_x11", daemon))
    variables = {
        "XDG_CURRENT_DESKTOP": "KDE",
        "XDG_SESSION_DESKTOP": "KDE",
        "DESKTOP_SESSION": "plasma",
        "KDE_FULL_SESSION": "true",
        "KDE_SESSION_VERSION": version(),
        "XDG_MENU_PREFIX": "plasma-",
        "QT_LOGGING_RULES": "*.debug=false",
    }
    with session(Kde, folder, form, SERVICES, **variables) as desk:
        theme, scheme, panel = (
            ("dark", "BreezeDark", "breeze-dark") if form.dark else ("", "BreezeLight", "breeze-light")
        )
        files = {
            "plasma-org.kde.plasma.desktop-appletsrc": LAYOUT,
            "kwinrc": "[Compositing]\nEnabled=false\n",
            "kdeglobals": f"[KDE]\nAnimationDurationFactor=0\n"
            f"LookAndFeelPackage=org.kde.breeze{theme}.desktop\n[General]\nColorScheme={scheme}\n",
            "plasmarc": f"[Theme]\nname={panel}\n",
            "kwalletrc": "[Wallet]\nEnabled=false\n",
            "baloofilerc": "[Basic Settings]\nIndexing-Enabled=false\n",
            f"{daemon}rc": "".join(f"[Module-{name}]\nautoload=false\n" for name in UNWANTED),
        }
        for name, text in files.items():
            (Path(desk.environment["XDG_CONFIG_HOME"]) / name).write_text(text)
        desk.start_session()
        desk.start_shell()
        yield desk
