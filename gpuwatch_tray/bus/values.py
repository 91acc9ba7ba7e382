"""Peers, signals and errors of D-Bus, and the addresses of the buses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Peer:
    """The target of a call: a bus name, an object path and an interface."""

    name: str
    path: str
    interface: str


SYSTEM_SOCKETS = (Path("/run/dbus/system_bus_socket"), Path("/var/run/dbus/system_bus_socket"))
PLATFORMS_WITHOUT_BUS = ("win32", "darwin")  # their desktops have none
DAEMON = Peer("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


class BusUnavailableError(Exception):  # a state of the machine, not a mistake
    """No bus can be reached; the text says why in one line."""


class DBusCallError(Exception):  # what became of the call
    """A call failed: an error reply (`name` is its D-Bus name), a time-out, or a lost bus."""

    def __init__(self, text: str, name: str = "") -> None:
        super().__init__(text)
        self.name = name


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal; `sender` is a unique name."""

    sender: str
    path: str
    interface: str
    member: str
    body: tuple[Any, ...]


def no_answer(peer: Peer, member: str, seconds: float) -> DBusCallError:
    """Return the error of a call that timed out."""
    text = _("{service} did not answer {member} within {seconds:g} s")
    return DBusCallError(text.format(service=peer.name, member=member, seconds=seconds))


def session_address(environ: Mapping[str, str]) -> str:
    """Return the session bus's address: the variable, else systemd's socket; raises BusUnavailableError."""
    if address := environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return address
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        path = Path(runtime) / "bus"
        if path.is_socket():
            return f"unix:path={path}"
    raise BusUnavailableError(_("no session bus: DBUS_SESSION_BUS_ADDRESS is not set"))


def system_address(environ: Mapping[str, str]) -> str:
    """Return the system bus's address: the variable, else its usual socket; raises BusUnavailableError."""
    if address := environ.get("DBUS_SYSTEM_BUS_ADDRESS"):
        return address
    for path in SYSTEM_SOCKETS:
        if path.is_socket():
            return f"unix:path={path}"
    raise BusUnavailableError(_("no system bus: {socket} is not there").format(socket=SYSTEM_SOCKETS[0]))
