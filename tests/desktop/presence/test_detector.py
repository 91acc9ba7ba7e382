"""Which sources a desktop gets, in which order, and when there is no desktop."""

from __future__ import annotations

import pytest

from gpuwatch_tray.desktop.dbus import SessionBus
from gpuwatch_tray.desktop.presence import start_detector
from gpuwatch_tray.desktop.presence.detector import DesktopPresence
from gpuwatch_tray.desktop.presence.types import AbsentSource, Evidence, Moment, PresenceReading, SuspendLog
from gpuwatch_tray.model import Presence, PresenceResult

X = {"DISPLAY": ":77777", "XDG_SESSION_TYPE": "x11"}
WAYLAND = {"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":77777", "XDG_SESSION_TYPE": "wayland"}


def lines(bus, environ, away=300.0):
    """Return the doctor's lines by their sources."""
    watcher = start_detector(bus, environ, away, platform="linux")
    try:
        return dict(line.split(": ", 1) for line in watcher.sources())
    finally:
        watcher.close()


@pytest.mark.parametrize(
    ("environ", "platform", "why"),
    [
        ({}, "linux", "neither DISPLAY nor WAYLAND_DISPLAY is set"),
        ({"DISPLAY": ""}, "linux", "neither DISPLAY nor WAYLAND_DISPLAY is set"),
        ({**X, "SSH_CONNECTION": "::1 1 ::1 22"}, "linux", "SSH_CONNECTION is set"),
        ({**X, "SSH_TTY": "/dev/pts/1"}, "linux", "SSH_TTY is set"),
        ({"SSH_CONNECTION": "::1 1 ::1 22"}, "darwin", "SSH_CONNECTION is set"),
    ],
)
def test_without_a_desktop_nobody_is_at_the_desk(environ, platform, why):
    """That is away, and never unknown; the doctor is told why."""
    watcher = start_detector(None, environ, 300.0, platform=platform)
    assert watcher.check() == PresenceResult(Presence.AWAY, "no desktop")
    assert why in watcher.sources()[0]
    watcher.close()


def test_under_xwayland_the_x_server_is_not_asked():
    """It sees only what goes to X programs: a person in a terminal would be away."""
    assert "Wayland session" in lines(None, WAYLAND)["XScreenSaver"]
    assert "Wayland session" in lines(None, {**X, "XDG_SESSION_TYPE": "wayland"})["XScreenSaver"]
    assert "Wayland" not in lines(None, X)["XScreenSaver"]


@pytest.mark.parametrize(
    ("environ", "away", "why"),
    [
        (X, 300.0, "this is not a Wayland session"),
        ({**WAYLAND, "XDG_CURRENT_DESKTOP": "ubuntu:GNOME"}, 300.0, "GNOME has its own idle monitor"),
        (WAYLAND, 0.0, "AWAY_MIN is 0"),
        (
            {**WAYLAND, "PATH": "/nowhere"},
            300.0,
            "not installed: only a compositor that lacks ext-idle-notify",
        ),
    ],
)
def test_swayidle_is_started_only_where_it_helps(environ, away, why):
    """And the doctor says what is missing."""
    assert why in lines(None, environ, away)["swayidle"]


@pytest.mark.parametrize(
    ("environ", "away", "why"),
    [
        (X, 300.0, "this is not a Wayland session"),
        ({**WAYLAND, "XDG_CURRENT_DESKTOP": "GNOME"}, 300.0, "GNOME has its own idle monitor"),
        (WAYLAND, 0.0, "AWAY_MIN is 0"),
    ],
)
def test_the_compositor_is_asked_only_where_it_helps(environ, away, why):
    """No thread and no connection where another source tells, or nothing counts as away."""
    assert why in lines(None, environ, away)["ext-idle-notify"]


def test_without_setpriv_swayidle_is_not_started(tmp_path):
    """It would outlive a tray that is killed."""
    program = tmp_path / "swayidle"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert "needs setpriv" in lines(None, {**WAYLAND, "PATH": str(tmp_path)})["swayidle"]


@pytest.mark.desktop
def test_the_sources_are_believed_in_this_order(address):
    """Compositors before the display's count, that before hints; before the bus's loop has turned once."""
    bus = SessionBus.connect(address)
    names = list(lines(bus, {**WAYLAND, "PATH": "/nowhere"}))
    bus.close()
    assert names[1:] == [
        "org.freedesktop.ScreenSaver",
        "org.gnome.ScreenSaver",
        "org.xfce.ScreenSaver",
        "org.mate.ScreenSaver",
        "org.cinnamon.ScreenSaver",
        "org.gnome.Mutter.IdleMonitor",
        "org.cinnamon.Muffin.IdleMonitor",
        "XScreenSaver",
        "ext-idle-notify",
        "swayidle",
        "logind",
        "org.freedesktop.ScreenSaver (idle time)",
    ]


class Scripted:
    """A source that says what it is told to."""

    name = "scripted"

    def __init__(self, *readings):
        self.readings = list(readings)

    def reading(self, _now):
        return self.readings[0] if self.readings else None

    def state(self):
        return "nothing written"

    def close(self):
        self.readings.clear()


def test_after_a_suspend_the_last_reading_is_worth_nothing():
    """Ten minutes of sleep, and nobody is present by what was read before."""
    now = [Moment(1000.0, 500.0)]
    source = Scripted(PresenceReading("scripted", Evidence.IDLE, 999.0, 1.0))
    watcher = DesktopPresence([source], 300.0, SuspendLog(), lambda: now[0])
    assert watcher.check().presence is Presence.PRESENT
    now[0] = Moment(1601.0, 501.0)
    assert watcher.check() == PresenceResult(Presence.UNKNOWN, "nothing here can tell")


def test_the_doctor_sees_the_answer_and_each_source():
    """What is used, and why the others are not."""
    source = Scripted(PresenceReading("scripted", Evidence.IDLE, 999.0, 12.4))
    watcher = DesktopPresence(
        [AbsentSource("other", "not installed"), source], 300.0, SuspendLog(), lambda: Moment(1000.0, 500.0)
    )
    assert watcher.sources() == (
        "present: scripted (12 s without input)",
        "other: not installed",
        "scripted: this long without input (12 s without input)",
    )
    watcher.close()
    assert watcher.sources()[-1] == "scripted: nothing written"
