"""The sources of each desktop, in the order in which they are believed."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.presence.clock import SuspendLog
from gpuwatch_tray.presence.decide import AbsentSource, PresenceSource
from gpuwatch_tray.presence.watcher import DesktopPresence, NobodyPresent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.bus import SessionBus

SAMPLE_INTERVAL = 5.0  # seconds between two questions to a source
SSH = ("SSH_CONNECTION", "SSH_TTY")
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def start_detector(
    bus: SessionBus | None,
    environ: Mapping[str, str],
    away: float,
    *,
    platform: str = sys.platform,
    interval: float = SAMPLE_INTERVAL,
) -> DesktopPresence | NobodyPresent:
    """
    Start the detector for this desktop and return at once; `close` ends it.

    `away` is the number of seconds without input after which a person counts as away; with 0 only a locked
    screen counts. Over SSH and without a display nobody is at the desk. D-Bus sources live on the loop of
    `bus`; without a bus they are left out.
    """
    if variable := next((name for name in SSH if environ.get(name)), None):
        return NobodyPresent(_("{variable} is set: this is a session over SSH").format(variable=variable))
    suspends = SuspendLog()
    # Late imports: each desktop loads what it has.
    if platform == "win32":
        from gpuwatch_tray.presence.windows import LastInput

        return DesktopPresence([LastInput()], away, suspends)
    if platform == "darwin":
        from gpuwatch_tray.presence.macos import EventSource

        return DesktopPresence([EventSource()], away, suspends)
    if not any(environ.get(name) for name in DISPLAYS):
        return NobodyPresent(_("neither DISPLAY nor WAYLAND_DISPLAY is set"))
    return DesktopPresence(_linux_sources(bus, environ, away, suspends, interval), away, suspends)


def _linux_sources(
    bus: SessionBus | None, environ: Mapping[str, str], away: float, suspends: SuspendLog, interval: float
) -> list[PresenceSource]:
    if bus is None:
        preferred: list[PresenceSource] = [
            AbsentSource(_("lockers, idle monitors, logind"), _("there is no session bus"))
        ]
        fallbacks: list[PresenceSource] = []
    else:
        preferred, fallbacks = _bus_sources(bus, environ, suspends, interval)
    return [
        *preferred,
        _x_server(environ, suspends, interval),
        _swayidle(environ, away, suspends),
        *fallbacks,
    ]


def _bus_sources(
    bus: SessionBus, environ: Mapping[str, str], suspends: SuspendLog, interval: float
) -> tuple[list[PresenceSource], list[PresenceSource]]:
    """Return the sources to believe before the display's own count, and those after it."""
    from gpuwatch_tray.presence.idlemonitor import MONITORS, IdleMonitor  # as above
    from gpuwatch_tray.presence.lockers import SCREEN_LOCKS, ScreenLock
    from gpuwatch_tray.presence.logind import Logind
    from gpuwatch_tray.presence.sessionidle import SessionIdle

    preferred = [ScreenLock(bus, name, paths) for name, paths in SCREEN_LOCKS.items()]
    monitors = [IdleMonitor(bus, name, path, suspends, interval) for name, path in MONITORS.items()]
    fallbacks: list[PresenceSource] = [Logind(bus, environ, suspends)]
    if _wayland(environ):  # an X server answers better
        fallbacks.append(SessionIdle(bus, suspends, interval))
    return [*preferred, *monitors], fallbacks


def _x_server(environ: Mapping[str, str], suspends: SuspendLog, interval: float) -> PresenceSource:
    from gpuwatch_tray.presence.xserver import XServer  # as above

    if _wayland(environ):
        return AbsentSource(
            XServer.name, _("this is a Wayland session, whose XWayland does not see all input")
        )
    return XServer(environ, suspends, interval)


def _swayidle(environ: Mapping[str, str], away: float, suspends: SuspendLog) -> PresenceSource:
    from gpuwatch_tray.presence.swayidle import SwayIdle, swayidle_command  # as above

    if not environ.get("WAYLAND_DISPLAY"):
        return AbsentSource(SwayIdle.name, _("this is no Wayland session"))
    if "GNOME" in environ.get("XDG_CURRENT_DESKTOP", "").split(":"):
        return AbsentSource(SwayIdle.name, _("not needed: GNOME has its own idle monitor"))
    if away <= 0:
        return AbsentSource(SwayIdle.name, _("not needed: AWAY_MIN is 0"))
    swayidle, setpriv = (shutil.which(tool, path=environ.get("PATH")) for tool in ("swayidle", "setpriv"))
    if swayidle is None:
        return AbsentSource(
            SwayIdle.name, _("not installed: with it, idle time is known here (Debian: swayidle)")
        )
    if setpriv is None:
        return AbsentSource(SwayIdle.name, _("needs setpriv, which is not installed (Debian: util-linux)"))
    return SwayIdle(swayidle_command(swayidle, setpriv, away), environ, away, suspends)


def _wayland(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("WAYLAND_DISPLAY")) or environ.get("XDG_SESSION_TYPE") == "wayland"
