"""The socket by which commands talk to the running tray or `watch`: server, client, and addresses."""

from gpuwatch_tray.control.client import ask
from gpuwatch_tray.control.places import addresses
from gpuwatch_tray.control.server import ControlServer, Handler, serve
from gpuwatch_tray.control.wire import ControlError, NotRunningError, RequestRefusedError

__all__ = [
    "ControlError",
    "ControlServer",
    "Handler",
    "NotRunningError",
    "RequestRefusedError",
    "addresses",
    "ask",
    "serve",
]
