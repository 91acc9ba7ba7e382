"""The socket under dbus-fast's writer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

log = logging.getLogger(__name__)


class BlockingWriter:
    """
    The connection's socket for dbus-fast's writer, without errors.

    The writer takes every error for the end of the bus, also a full buffer (python-dbus-next issue 153): a
    large menu would cost the connection. When nothing was sent it waits for room. The reader notices a lost
    bus; what can no longer be sent is dropped, for the writer would raise in the middle of an answer.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def send(self, data: memoryview) -> int:
        """Send what there is room for; return the number of bytes sent or dropped."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            log.debug("unsent: %r", error)
            return len(data)
