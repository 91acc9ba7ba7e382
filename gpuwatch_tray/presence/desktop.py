"""Which sources this desktop has, in the order in which they are believed."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.presence.clock import Sleeps
from gpuwatch_tray.presence.watcher import Absent, Nobody, Source, Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.bus import SessionBus

EVERY = 5.0  # seconds between two questions
SSH = ("SSH_CONNECTION", "SSH_TTY")
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def of_this_desktop(
    bus: SessionBus | None,
    environ: Mapping[str, str],
    away: float,
    *,
    platform: str = sys.platform,
    every: float = EVERY,
) -> Watcher | Nobody:
    """
    Begin to watch whether the person is at this desk; returns at once, and `close` ends it.

    `away` is the number of seconds without input after which a person counts as away. With 0 nobody is away
    by idling: only a locked screen counts. Over SSH and without a display nobody is at the desk.

    What speaks D-Bus lives on the loop of `bus`, before and while it runs; without a bus it is left out.
    """
    if variable := next((name for name in SSH if environ.get(name)), None):
        return Nobody(_("{variable} is set: this is a session over SSH").format(variable=variable))
    sleeps = Sleeps()
    # Late imports: each desktop loads what it has.
    if platform == "win32":
        from gpuwatch_tray.presence.windows import LastInput

        return Watcher([LastInput()], away, sleeps)
    if platform == "darwin":
        from gpuwatch_tray.presence.macos import EventSource

        return Watcher([EventSource()], away, sleeps)
    if not any(environ.get(name) for name in DISPLAYS):
        return Nobody(_("neither DISPLAY nor WAYLAND_DISPLAY is set"))
    return Watcher(_linux(bus, environ, away, sleeps, every), away, sleeps)


def _linux(
    bus: SessionBus | None, environ: Mapping[str, str], away: float, sleeps: Sleeps, every: float
) -> list[Source]:
    if bus is None:
        lockers: list[Source] = [Absent(_("lockers, idle monitors, logind"), _("there is no session bus"))]
        hints: list[Source] = []
    else:
        lockers, hints = _on_the_bus(bus, environ, sleeps, every)
    return [*lockers, _x_server(environ, sleeps, every), _swayidle(environ, away, sleeps), *hints]


def _on_the_bus(
    bus: SessionBus, environ: Mapping[str, str], sleeps: Sleeps, every: float
) -> tuple[list[Source], list[Source]]:
    """Those that are believed before the display's own count, and those that are believed after it."""
    from gpuwatch_tray.presence.idlemonitor import MONITORS, IdleMonitor  # as above
    from gpuwatch_tray.presence.lockers import LOCKERS, Locker
    from gpuwatch_tray.presence.logind import Logind
    from gpuwatch_tray.presence.sessionidle import SessionIdle

    lockers = [Locker(bus, name, paths) for name, paths in LOCKERS.items()]
    monitors = [IdleMonitor(bus, name, path, sleeps, every) for name, path in MONITORS.items()]
    hints: list[Source] = [Logind(bus, environ, sleeps)]
    if _wayland(environ):  # an X server answers better
        hints.append(SessionIdle(bus, sleeps, every))
    return [*lockers, *monitors], hints


def _x_server(environ: Mapping[str, str], sleeps: Sleeps, every: float) -> Source:
    from gpuwatch_tray.presence.xserver import XServer  # as above

    if _wayland(environ):
        return Absent(XServer.name, _("this is a Wayland session, whose XWayland does not see all input"))
    return XServer(environ, sleeps, every)


def _swayidle(environ: Mapping[str, str], away: float, sleeps: Sleeps) -> Source:
    from gpuwatch_tray.presence.swayidle import SwayIdle, command  # as above

    if not environ.get("WAYLAND_DISPLAY"):
        return Absent(SwayIdle.name, _("this is no Wayland session"))
    if "GNOME" in environ.get("XDG_CURRENT_DESKTOP", "").split(":"):
        return Absent(SwayIdle.name, _("not needed: GNOME has its own idle monitor"))
    if away <= 0:
        return Absent(SwayIdle.name, _("not needed: AWAY_MIN is 0"))
    swayidle, setpriv = (shutil.which(tool, path=environ.get("PATH")) for tool in ("swayidle", "setpriv"))
    if swayidle is None:
        return Absent(SwayIdle.name, _("not installed: with it, idle time is known here (Debian: swayidle)"))
    if setpriv is None:
        return Absent(SwayIdle.name, _("needs setpriv, which is not installed (Debian: util-linux)"))
    return SwayIdle(command(swayidle, setpriv, away), environ, away, sleeps)


def _wayland(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("WAYLAND_DISPLAY")) or environ.get("XDG_SESSION_TYPE") == "wayland"
