"""
The panels that the tests know: xfce4-panel, lxqt-panel, and waybar in a sway of its own.

Each is a table's line: what it is called, the desktop it says it is, how its files are written and what is
started. Sway refuses root, so as root it and waybar run as `nobody`, on files and a bus that let them in.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.e2e.programs import SCREEN, process
from tests.support.timing import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path


NOBODY = 65534
AS_NOBODY = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")

PANEL = """<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="{dark}"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="32"/>
      <property name="icon-size" type="uint" value="24"/>
      <property name="plugin-ids" type="array">
        <value type="int" value="1"/>
        <value type="int" value="2"/>
        <value type="int" value="3"/>
      </property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="separator">
      <property name="expand" type="bool" value="true"/>
      <property name="style" type="uint" value="0"/>
    </property>
    <property name="plugin-2" type="string" value="systray"/>
    <property name="plugin-3" type="string" value="clock"/>
  </property>
</channel>
"""
LXQT = """panels=panel1

[panel1]
plugins=spacer,statusnotifier
position=Top
desktop=0
width=100
width-percent=true
iconSize=22
panelSize=32

[spacer]
type=spacer
expandable=true

[statusnotifier]
type=statusnotifier
"""
SWAY = f"""xwayland disable
output * resolution {SCREEN[0]}x{SCREEN[1]} position 0 0
output * background #30506a solid_color
default_border none
"""
WAYBAR = (
    '{"layer": "top", "position": "top", "height": 32, "modules-right": ["tray"],'
    ' "tray": {"icon-size": 24, "spacing": 8}}'
)
WAYBAR_STYLE = """
* { font-family: "DejaVu Sans"; font-size: 13px; }
window#waybar { background: #202428; color: #ffffff; }
#tray { margin-right: 60px; }
"""


@dataclass(frozen=True)
class Host:
    """
    One panel: `prepare` writes its files and starts what it stands on, `command` starts it.

    `buttons` are those that open a menu on it.
    """

    name: str
    desktop: str
    tools: tuple[str, ...]
    command: Callable[[Path], list[str]]
    prepare: Callable[..., None]
    buttons: tuple[str, ...] = ("left", "right")
    wayland: bool = False

    @property
    def user(self) -> tuple[str, ...]:
        """For setpriv, where it must not be root."""
        return AS_NOBODY if self.wayland and os.getuid() == 0 else ()


def _xfce(folder: Path, environment: dict[str, str], stack: ExitStack, *, dark: bool) -> None:
    layout = folder / "home/.config/xfce4/xfconf/xfce-perchannel-xml/xfce4-panel.xml"
    layout.parent.mkdir(parents=True)
    layout.write_text(PANEL.format(dark="true" if dark else "false"))
    stack.enter_context(process(["xfwm4", "--compositor=off"], environment, folder / "xfwm4.log"))


def _lxqt(folder: Path, environment: dict[str, str], stack: ExitStack, *, dark: bool) -> None:
    del dark  # nothing to choose
    config = folder / "home/.config/lxqt/panel.conf"
    config.parent.mkdir(parents=True)
    config.write_text(LXQT)
    stack.enter_context(process(["xfwm4", "--compositor=off"], environment, folder / "xfwm4.log"))


def _sway(folder: Path, environment: dict[str, str], stack: ExitStack, *, dark: bool) -> None:
    del dark  # nothing to choose
    (folder / "sway.conf").write_text(SWAY)
    (folder / "waybar.json").write_text(WAYBAR)
    (folder / "waybar.css").write_text(WAYBAR_STYLE)
    if WAYBAR_HOST.user:
        for place in (folder / "home", folder / "runtime"):
            os.chown(place, NOBODY, NOBODY)
    environment |= {"WLR_BACKENDS": "x11", "WLR_RENDERER": "pixman", "GDK_BACKEND": "wayland"}
    command = ["sway", "--config", str(folder / "sway.conf")]
    stack.enter_context(process(command, environment, folder / "sway.log", WAYBAR_HOST.user))
    socket = folder / "runtime/wayland-1"
    wait_until(socket.exists, "sway's socket")
    environment["WAYLAND_DISPLAY"] = socket.name


XFCE_HOST = Host(
    "xfce4-panel",
    "XFCE",
    ("xfwm4", "xfce4-panel"),
    lambda _: ["xfce4-panel", "--disable-wm-check"],
    _xfce,
)
LXQT_HOST = Host(
    "lxqt-panel",
    "LXQt",
    ("xfwm4", "lxqt-panel"),
    lambda _: ["lxqt-panel"],
    _lxqt,
    buttons=("right",),  # it takes the left one for Activate, whatever ItemIsMenu says
)
WAYBAR_HOST = Host(
    "waybar",
    "sway",
    ("sway", "waybar"),
    lambda folder: ["waybar", "-c", str(folder / "waybar.json"), "-s", str(folder / "waybar.css")],
    _sway,
    wayland=True,
)
HOSTS = {host.name: host for host in (XFCE_HOST, LXQT_HOST, WAYBAR_HOST)}
