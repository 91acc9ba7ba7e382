"""The X server as a presence source."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from gpuwatch_tray.enduring import run_forever
from gpuwatch_tray.language import _
from gpuwatch_tray.presence.clock import IdleCounter, SuspendLog, moment
from gpuwatch_tray.presence.xprotocol import XConnection, XServerError
from gpuwatch_tray.within import start_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_AGAIN = 10.0  # seconds


class XServer(IdleCounter):
    """The X server, asked every `interval` seconds on a thread, for a grab makes its clients wait."""

    name = "XScreenSaver"

    def __init__(
        self,
        environ: Mapping[str, str],
        suspends: SuspendLog,
        interval: float,
        connect_again: float = CONNECT_AGAIN,
    ) -> None:
        super().__init__(self.name, suspends)
        self._environ = environ
        self._interval = interval
        self._connect_again = connect_again
        self._problem = _("has not answered yet")
        self._connection: XConnection | None = None
        self._stop = threading.Event()
        self._thread = start_thread("presence-x", run_forever, "presence-x", self._run, self._stop)

    def state(self) -> str:
        """Explain a missing answer."""
        return self._problem

    def close(self) -> None:
        """End the thread within half a second."""
        self._stop.set()
        if (connection := self._connection) is not None:
            connection.interrupt()
        self._thread.join(0.5)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._ask()
            except XServerError as error:
                self._problem = _("display {display}: {error}").format(
                    display=self._environ.get("DISPLAY"), error=error
                )
            self.forget()
            self._stop.wait(self._connect_again)

    def _ask(self) -> None:
        """Connect and ask until `close`; raises XServerError when the connection is lost."""
        self._connection = connection = XConnection(self._environ)
        try:
            while not self._stop.is_set():
                self.record(moment(), connection.idle())
                self._stop.wait(self._interval)
        finally:
            self._connection = None
            connection.close()
