"""The D-Bus connections: the session bus that tray, popups and presence share, and others on its loop."""

from gpuwatch_tray.bus.connection import Connection
from gpuwatch_tray.bus.session import SessionBus
from gpuwatch_tray.bus.values import (
    DAEMON,
    PLATFORMS_WITHOUT_BUS,
    BusUnavailableError,
    DBusCallError,
    Peer,
    Signal,
    session_address,
    system_address,
)
from gpuwatch_tray.bus.visit import temporary_session

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
