"""The session bus: one connection that the tray and the popups are handed."""

from gpuwatch_tray.bus.session import SessionBus
from gpuwatch_tray.bus.values import (
    DAEMON,
    BusUnavailable,
    CallFailed,
    Peer,
    Signal,
    session_address,
)

__all__ = ["DAEMON", "BusUnavailable", "CallFailed", "Peer", "SessionBus", "Signal", "session_address"]
