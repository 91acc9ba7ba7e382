"""The D-Bus connections: the session bus that tray, popups and presence share, and others on its loop."""

from gpuwatch_tray.desktop.dbus.connection import (
    DAEMON,
    PLATFORMS_WITHOUT_BUS,
    BusUnavailableError,
    Connection,
    DBusCallError,
    Peer,
    Signal,
    session_address,
    system_address,
)
from gpuwatch_tray.desktop.dbus.session_bus import SessionBus, temporary_session

__all__ = [
    "DAEMON",
    "PLATFORMS_WITHOUT_BUS",
    "BusUnavailableError",
    "Connection",
    "DBusCallError",
    "Peer",
    "SessionBus",
    "Signal",
    "session_address",
    "system_address",
    "temporary_session",
]
