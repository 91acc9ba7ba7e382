"""The presence detector: all sources of one desktop, checked from any thread without waiting."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from gpuwatch_tray import i18n
from gpuwatch_tray.desktop.presence.idle_reports import ReportedSource
from gpuwatch_tray.desktop.presence.types import (
    COMPOSITOR,
    SWAYIDLE,
    X_SERVER,
    AbsentSource,
    Moment,
    PresenceSource,
    SuspendLog,
    decide,
    moment,
)
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import Presence, PresenceResult

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from gpuwatch_tray.desktop.dbus import SessionBus
    from gpuwatch_tray.desktop.presence.types import PresenceDetector


class DesktopPresence:
    """The sources in the order in which they are believed; `away` is in seconds."""

    def __init__(
        self,
        sources: Sequence[PresenceSource],
        away: float,
        suspends: SuspendLog,
        clock: Callable[[], Moment] = moment,
    ) -> None:
        self._sources = tuple(sources)
        self._away = away
        self._suspends = suspends
        self._clock = clock
        suspends.observe(clock())

    def check(self) -> PresenceResult:
        """Return whether the person is at the desk, as far as is known now; never waits."""
        now = self._clock()
        self._suspends.observe(now)
        readings = [source.reading(now) for source in self._sources]
        return decide(filter(None, readings), now.boot, self._away)

    def listening(self) -> str:
        """Return the name of a source that works but has to run for a while first; empty for none."""
        listening = (
            one.name for one in self._sources if isinstance(one, ReportedSource) and one.is_listening
        )
        return next(listening, "")

    def sources(self) -> tuple[str, ...]:
        """Describe the answer, then each source with its reading or the reason for none; for `doctor`."""
        now = self._clock()
        answer = self.check()
        lines = [f"{i18n.translate_key(answer.presence.value)}: {_(answer.source)}{_idle_text(answer.idle)}"]
        for source in self._sources:
            reading = source.reading(now)
            text = (
                source.state()
                if reading is None
                else _(reading.evidence.value) + _idle_text(reading.idle or None)
            )
            lines.append(f"{source.name}: {text}")
        return tuple(lines)

    def close(self) -> None:
        """End what the sources started; each takes half a second at most."""
        for source in self._sources:
            source.close()


class NobodyPresent:
    """The detector without a desktop, where nobody is present; `why` is the reason."""

    def __init__(self, why: str) -> None:
        self._why = why

    def check(self) -> PresenceResult:
        """Return away."""
        return PresenceResult(Presence.AWAY, N_("no desktop"))

    def sources(self) -> tuple[str, ...]:
        """Describe the answer and its reason."""
        return (_("away: no desktop ({why})").format(why=self._why),)

    def listening(self) -> str:
        """Return nothing: the answer is known."""
        return ""

    def close(self) -> None:
        """Do nothing: there is nothing to end."""


def _idle_text(idle: float | None) -> str:
    return "" if idle is None else " " + _("({idle:.0f} s without input)").format(idle=idle)


class AdjustableDetector:
    """The detector that `make` builds for the seconds that count as away, rebuilt when they change."""

    def __init__(self, make: Callable[[float], PresenceDetector], away: float) -> None:
        self._make = make
        self._away = away
        self._detector = make(away)

    def adjust(self, away: float) -> None:
        """Count `away` seconds as away from now on; presence is unknown until the new sources answer."""
        if away != self._away:
            before, self._detector, self._away = self._detector, self._make(away), away
            before.close()

    def check(self) -> PresenceResult:
        """Return whether the person is at the desk."""
        return self._detector.check()

    def sources(self) -> tuple[str, ...]:
        """Describe the answer and its sources."""
        return self._detector.sources()

    def close(self) -> None:
        """Close the detector."""
        self._detector.close()


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

    After `away` seconds without input a person is away; with 0 only a locked screen counts. Over SSH and
    without a display nobody is at the desk. D-Bus sources live on the loop of `bus`; without one they are
    left out.
    """
    if variable := next((name for name in SSH if environ.get(name)), None):
        return NobodyPresent(_("{variable} is set: this is a session over SSH").format(variable=variable))
    suspends = SuspendLog()
    # Late imports: each desktop loads what it has.
    if platform == "win32":
        from gpuwatch_tray.desktop.presence.native import LastInput

        return DesktopPresence([LastInput()], away, suspends)
    if platform == "darwin":
        from gpuwatch_tray.desktop.presence.native import EventSource

        return DesktopPresence([EventSource()], away, suspends)
    if not any(environ.get(name) for name in DISPLAYS):
        return NobodyPresent(_("neither DISPLAY nor WAYLAND_DISPLAY is set"))
    return DesktopPresence(_linux_sources(bus, environ, away, suspends, interval), away, suspends)


def _linux_sources(
    bus: SessionBus | None, environ: Mapping[str, str], away: float, suspends: SuspendLog, interval: float
) -> list[PresenceSource]:
    from gpuwatch_tray.desktop.presence import dbus_sources as dbus  # as above

    display = [_x_server(environ, suspends, interval), *_wayland_sources(environ, away, suspends, interval)]
    if bus is None:
        return [AbsentSource(_("lockers, idle monitors, logind"), _("there is no session bus")), *display]
    sources: list[PresenceSource] = [
        *(dbus.ScreenLock(bus, name, paths) for name, paths in dbus.SCREEN_LOCKS.items()),
        *(dbus.IdleMonitor(bus, name, path, suspends, interval) for name, path in dbus.MONITORS.items()),
        *display,
        dbus.Logind(bus, environ, suspends),
    ]
    # An X server answers better.
    return [*sources, dbus.SessionIdle(bus, suspends, interval)] if _wayland(environ) else sources


def _x_server(environ: Mapping[str, str], suspends: SuspendLog, interval: float) -> PresenceSource:
    if _wayland(environ):
        return AbsentSource(X_SERVER, _("this is a Wayland session, whose XWayland does not see all input"))
    from gpuwatch_tray.desktop.presence.x11 import XServer  # as above

    return XServer(environ, suspends, interval)


def _wayland_sources(
    environ: Mapping[str, str], away: float, suspends: SuspendLog, interval: float
) -> list[PresenceSource]:
    """Return the compositor's own protocol, and swayidle, which is started where the compositor lacks it."""
    why = ""
    if not environ.get("WAYLAND_DISPLAY"):
        why = _("this is not a Wayland session")
    elif "GNOME" in environ.get("XDG_CURRENT_DESKTOP", "").split(":"):
        why = _("not needed: GNOME has its own idle monitor")
    elif away <= 0:
        why = _("not needed: AWAY_MIN is 0")
    if why:
        return [AbsentSource(COMPOSITOR, why), AbsentSource(SWAYIDLE, why)]
    from gpuwatch_tray.desktop.presence.wayland import IdleNotify  # as above

    compositor = IdleNotify(environ, away, suspends, interval)
    return [compositor, _swayidle(environ, away, suspends, compositor.lacking)]


def _swayidle(
    environ: Mapping[str, str], away: float, suspends: SuspendLog, wanted: threading.Event
) -> PresenceSource:
    swayidle, setpriv = (shutil.which(tool, path=environ.get("PATH")) for tool in ("swayidle", "setpriv"))
    if swayidle is None:
        return AbsentSource(
            SWAYIDLE,
            _("not installed: only a compositor that lacks ext-idle-notify needs it (Debian: swayidle)"),
        )
    if setpriv is None:
        return AbsentSource(SWAYIDLE, _("needs setpriv, which is not installed (Debian: util-linux)"))
    from gpuwatch_tray.desktop.presence.swayidle import SwayIdle, swayidle_command  # as above

    return SwayIdle(swayidle_command(swayidle, setpriv, away), environ, away, suspends, wanted=wanted)


def _wayland(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("WAYLAND_DISPLAY")) or environ.get("XDG_SESSION_TYPE") == "wayland"
