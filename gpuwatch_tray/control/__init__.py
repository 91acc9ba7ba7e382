"""The user-only socket of the running tray (or `watch`): who serves, who asks, and where they meet."""

from gpuwatch_tray.control.client import ask
from gpuwatch_tray.control.places import addresses
from gpuwatch_tray.control.server import Handler, Server, serve
from gpuwatch_tray.control.wire import ControlError, NobodyThere, Refused

__all__ = ["ControlError", "Handler", "NobodyThere", "Refused", "Server", "addresses", "ask", "serve"]
