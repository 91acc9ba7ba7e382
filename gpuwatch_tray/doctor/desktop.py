"""The desktop: who shows the icon, who shows the popups and what that one can, who knows of the person."""

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
from gpuwatch_tray.doctor import person
from gpuwatch_tray.doctor.line import Line, ok, problem, warning
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TRAY, POPUPS = "tray", "popups"
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
SYSTEMS = {"win32": "Windows", "darwin": "macOS"}  # where pystray draws as the system does
CONNECT, ANSWER = 3.0, 2.0  # seconds


def look(environ: Mapping[str, str], away: float, program: Callable[[int], str]) -> Iterator[Line]:
    """
    The tray, the popups and the presence; each question is bounded in time.

    `away` is in seconds; `program` tells the name of the process with a PID.
    """
    if sys.platform in SYSTEMS:
        yield ok(TRAY, _("drawn by {system} itself").format(system=SYSTEMS[sys.platform]))
        yield from person.look(None, environ, away)
        return
    screen = any(environ.get(name) for name in DISPLAYS)
    try:
        with temporary_session(session_address(environ), timeout=CONNECT) as bus:
            yield _tray(bus, environ, program, screen=screen)
            yield from _popups(bus, screen=screen)
            yield from person.look(bus, environ, away)
    except BusUnavailableError as error:
        why = redact.text(str(error))
        if screen:
            text = _("{why}: only pystray's own icons are left, and no popup has buttons").format(why=why)
            yield warning(TRAY, text, _("start it in the desktop's own session"))
        else:
            text = _("no desktop here ({why}): `gpuwatch-tray` watches in the terminal").format(why=why)
            yield ok(TRAY, text)
        yield from person.look(None, environ, away)


def _tray(
    bus: SessionBus, environ: Mapping[str, str], program: Callable[[int], str], *, screen: bool
) -> Line:
    from gpuwatch_tray.tray.hostwatch import panel_advice  # noqa: PLC0415  # dbus-fast's part of the tray
    from gpuwatch_tray.tray.sni import WATCHER  # noqa: PLC0415

    try:
        (owner,) = bus.call(DAEMON, "GetNameOwner", "s", [WATCHER], timeout=ANSWER)
    except DBusCallError as error:
        if error.name and not screen:
            return ok(TRAY, _("no desktop here: `gpuwatch-tray` watches in the terminal"))
        if error.name:
            return problem(TRAY, _("no program here shows tray icons"), panel_advice(environ))
        return problem(TRAY, str(error), _("the session bus does not answer: log out and in again"))
    try:
        (pid,) = bus.call(DAEMON, "GetConnectionUnixProcessID", "s", [owner], timeout=ANSWER)
    except DBusCallError:
        return ok(TRAY, _("icons are shown"))
    name = program(int(pid)) or "?"
    return ok(TRAY, _("icons are shown by {program} (PID {pid})").format(program=name, pid=pid))


def _popups(bus: SessionBus, *, screen: bool) -> Iterator[Line]:
    from gpuwatch_tray.notifiers.desktop import SERVER  # noqa: PLC0415  # as above

    began = time.monotonic()
    try:
        (abilities,) = bus.call(SERVER, "GetCapabilities", timeout=ANSWER)
    except DBusCallError as error:
        if not screen and time.monotonic() - began < ANSWER:
            return  # no desktop, no popups: nothing to say
        text = _("no notification server answers: {why}").format(why=redact.text(str(error)))
        mend = _(
            "start one, such as the desktop's own, dunst or mako; alerts are then told by icon and mail only"
        )
        yield warning(POPUPS, text, mend)
        return
    try:
        name, _vendor, version, _spec = bus.call(SERVER, "GetServerInformation", timeout=ANSWER)
    except DBusCallError:
        name, version = "?", ""
    able = redact.text(", ".join(sorted(map(str, abilities))))
    said = redact.text(f"{name} {version}".rstrip())
    if "actions" in abilities:
        yield ok(POPUPS, f"{said} ({able})")
    else:
        text = _("{server} shows no buttons ({able})").format(server=said, able=able)
        yield warning(POPUPS, text, _("the menu has the same: Acknowledge and Snooze"))
