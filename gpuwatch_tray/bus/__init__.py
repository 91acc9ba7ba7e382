"""
The session bus: one connection that the tray, the popups and presence are handed.

Other buses, such as the system's, are joined on its loop with `Connection.open`.
"""

from gpuwatch_tray.bus.connection import Connection
from gpuwatch_tray.bus.session import SessionBus
from gpuwatch_tray.bus.values import (
    DAEMON,
    WITHOUT_BUS,
    BusUnavailable,
    CallFailed,
    Peer,
    Signal,
    session_address,
    system_address,
)
from gpuwatch_tray.bus.visit import visited

__all__ = [
    "DAEMON",
    "WITHOUT_BUS",
    "BusUnavailable",
    "CallFailed",
    "Connection",
    "Peer",
    "SessionBus",
    "Signal",
    "session_address",
    "system_address",
    "visited",
]
