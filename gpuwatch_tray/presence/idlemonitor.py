"""The idle monitors of GNOME's and Cinnamon's compositors."""

from __future__ import annotations

import asyncio

from gpuwatch_tray.bus import Connection, DBusCallError, Peer
from gpuwatch_tray.language import _
from gpuwatch_tray.presence.clock import IdleCounter, SuspendLog, moment
from gpuwatch_tray.presence.owned import FollowNameOwner

# Bus name, which is also the interface, and the path of the monitor of all devices together.
MONITORS = {
    "org.gnome.Mutter.IdleMonitor": "/org/gnome/Mutter/IdleMonitor/Core",
    "org.cinnamon.Muffin.IdleMonitor": "/org/cinnamon/Muffin/IdleMonitor/Core",
}


class IdleMonitor(IdleCounter):
    """An idle monitor, asked every `interval` seconds; it knows of all input, also on Wayland."""

    def __init__(self, bus: Connection, name: str, path: str, suspends: SuspendLog, interval: float) -> None:
        super().__init__(name, suspends)
        self._bus = bus
        self._path = path
        self._interval = interval
        self._problem = ""
        self._service = FollowNameOwner(bus, name, self._follow, self.forget)

    def state(self) -> str:
        """Explain a missing answer."""
        return (self._problem or _("has not answered yet")) if self._service.owner else _("not running")

    def close(self) -> None:
        """Stop asking."""
        self._service.close()

    async def _follow(self, owner: str) -> None:
        while True:
            try:
                (milliseconds,) = await self._bus.call_async(
                    Peer(owner, self._path, self.name), "GetIdletime"
                )
            except DBusCallError as error:
                self._problem = str(error)
                self.forget()
            else:
                self._problem = ""
                self.record(moment(), milliseconds / 1000)
            await asyncio.sleep(self._interval)
