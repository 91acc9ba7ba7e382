"""The checks of the machine and the session: desktop, presence, driver, GPUs, and the running program."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.bus import (
    DAEMON,
    BusUnavailableError,
    DBusCallError,
    SessionBus,
    session_address,
    temporary_session,
)
from gpuwatch_tray.doctor.line import CheckResult, ok, problem, warning
from gpuwatch_tray.doctor.person import check_presence
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TRAY_TOPIC, POPUPS_TOPIC = "tray", "popups"
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
NATIVE_SYSTEMS = {"win32": "Windows", "darwin": "macOS"}  # where pystray uses the system's own tray
CONNECT_TIMEOUT, ANSWER_TIMEOUT = 3.0, 2.0  # seconds


def check_desktop(
    environ: Mapping[str, str], away: float, program: Callable[[int], str]
) -> Iterator[CheckResult]:
    """
    Check the tray, the popups and the presence; each call is bounded in time.

    `away` is in seconds; `program` returns the name of the process with a PID.
    """
    if sys.platform in NATIVE_SYSTEMS:
        yield ok(TRAY_TOPIC, _("drawn by {system} itself").format(system=NATIVE_SYSTEMS[sys.platform]))
        yield from check_presence(None, environ, away)
        return
    screen = any(environ.get(name) for name in DISPLAYS)
    try:
        with temporary_session(session_address(environ), timeout=CONNECT_TIMEOUT) as bus:
            yield _check_tray(bus, environ, program, screen=screen)
            yield from _check_popups(bus, screen=screen)
            yield from check_presence(bus, environ, away)
    except BusUnavailableError as error:
        why = redact.text(str(error))
        if screen:
            text = _("{why}: only pystray's own icons are left, and no popup has buttons").format(why=why)
            yield warning(TRAY_TOPIC, text, _("start it in the desktop's own session"))
        else:
            text = _("no desktop here ({why}): `gpuwatch-tray` watches in the terminal").format(why=why)
            yield ok(TRAY_TOPIC, text)
        yield from check_presence(None, environ, away)


def _check_tray(
    bus: SessionBus, environ: Mapping[str, str], program: Callable[[int], str], *, screen: bool
) -> CheckResult:
    from gpuwatch_tray.tray.hostwatch import panel_advice  # loads dbus-fast
    from gpuwatch_tray.tray.sni import WATCHER

    try:
        (owner,) = bus.call(DAEMON, "GetNameOwner", "s", [WATCHER], timeout=ANSWER_TIMEOUT)
    except DBusCallError as error:
        if error.name and not screen:
            return ok(TRAY_TOPIC, _("no desktop here: `gpuwatch-tray` watches in the terminal"))
        if error.name:
            return problem(TRAY_TOPIC, _("no program here shows tray icons"), panel_advice(environ))
        return problem(TRAY_TOPIC, str(error), _("the session bus does not answer: log out and in again"))
    try:
        (pid,) = bus.call(DAEMON, "GetConnectionUnixProcessID", "s", [owner], timeout=ANSWER_TIMEOUT)
    except DBusCallError:
        return ok(TRAY_TOPIC, _("icons are shown"))
    name = program(int(pid)) or "?"
    return ok(TRAY_TOPIC, _("icons are shown by {program} (PID {pid})").format(program=name, pid=pid))


def _check_popups(bus: SessionBus, *, screen: bool) -> Iterator[CheckResult]:
    from gpuwatch_tray.notifiers.desktop import NOTIFICATIONS

    began = time.monotonic()
    try:
        (abilities,) = bus.call(NOTIFICATIONS, "GetCapabilities", timeout=ANSWER_TIMEOUT)
    except DBusCallError as error:
        if not screen and time.monotonic() - began < ANSWER_TIMEOUT:
            return  # no desktop, no popups
        text = _("no notification server answers: {why}").format(why=redact.text(str(error)))
        mend = _(
            "start one, such as the desktop's own, dunst or mako; alerts are then told by icon and mail only"
        )
        yield warning(POPUPS_TOPIC, text, mend)
        return
    try:
        name, _vendor, version, _spec = bus.call(
            NOTIFICATIONS, "GetServerInformation", timeout=ANSWER_TIMEOUT
        )
    except DBusCallError:
        name, version = "?", ""
    able = redact.text(", ".join(sorted(map(str, abilities))))
    server = redact.text(f"{name} {version}".rstrip())
    if "actions" in abilities:
        yield ok(POPUPS_TOPIC, f"{server} ({able})")
    else:
        text = _("{server} shows no buttons ({able})").format(server=server, able=able)
        yield warning(POPUPS_TOPIC, text, _("the menu has the same: Acknowledge and Snooze"))
