"""The socket under dbus-fast's writer, made to wait."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

log = logging.getLogger(__name__)


class BlockingWriter:
    """
    The connection's socket as dbus-fast's writer sees it: no error is the writer's business.

    The writer takes any error for the end of the bus, also a buffer that is full (python-dbus-next issue 153,
    inherited), so that a large menu sent to a busy daemon would cost the connection. Of nothing sent it waits
    for room, as it should. That the bus is gone is the reader's to notice; what can no longer be sent is
    dropped, for the writer would raise it in the middle of answering.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def send(self, data: memoryview) -> int:
        """Send what there is room for; the number of bytes that are dealt with."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            log.debug("unsent: %r", error)
            return len(data)
