"""The socket by which commands talk to the running tray or `watch`: server, client, and addresses."""

from gpuwatch_tray.ipc.client import ask
from gpuwatch_tray.ipc.protocol import (
    ControlError,
    NotRunningError,
    RequestRefusedError,
    addresses,
    session_place,
)
from gpuwatch_tray.ipc.server import ControlServer, Handler, serve

__all__ = [
    "ControlError",
    "ControlServer",
    "Handler",
    "NotRunningError",
    "RequestRefusedError",
    "addresses",
    "ask",
    "serve",
    "session_place",
]
