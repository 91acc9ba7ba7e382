"""Screen locks on the session bus: a locked screen means away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gpuwatch_tray.bus import Connection, DBusCallError, Peer, Signal
from gpuwatch_tray.language import _
from gpuwatch_tray.presence.decide import Evidence, PresenceReading
from gpuwatch_tray.presence.owned import POLL_INTERVAL, FollowNameOwner

if TYPE_CHECKING:
    from gpuwatch_tray.presence.clock import Moment

# Bus name, which is also the interface, and the paths of its object. KDE has had both.
SCREEN_LOCKS = {
    "org.freedesktop.ScreenSaver": ("/org/freedesktop/ScreenSaver", "/ScreenSaver"),
    "org.gnome.ScreenSaver": ("/org/gnome/ScreenSaver",),
    "org.xfce.ScreenSaver": ("/org/xfce/ScreenSaver",),
    "org.mate.ScreenSaver": ("/org/mate/ScreenSaver",),
    "org.cinnamon.ScreenSaver": ("/org/cinnamon/ScreenSaver",),
}


class ScreenLock:
    """A screen lock, followed by ActiveChanged, and asked when it appears and every minute."""

    def __init__(
        self, bus: Connection, name: str, paths: tuple[str, ...], poll_interval: float = POLL_INTERVAL
    ) -> None:
        self.name = name
        self._bus = bus
        self._paths = paths
        self._poll_interval = poll_interval
        self._active: bool | None = None
        self._signals = 0
        self._problem = ""
        for path in paths:
            bus.subscribe(Peer(name, path, name), "ActiveChanged", self._changed)
        self._service = FollowNameOwner(bus, name, self._follow, self._forget)

    def reading(self, now: Moment) -> PresenceReading | None:
        """Return a reading for a locked screen; an unlocked one says nothing of the person."""
        if not (self._active and self._bus.connected):
            return None
        return PresenceReading(_("{source} (locked)").format(source=self.name), Evidence.LOCKED, now.boot)

    def state(self) -> str:
        """Explain a missing reading."""
        if not self._service.owner:
            return _("not running")
        return self._problem or (_("does not say") if self._active is None else _("not locked"))

    def close(self) -> None:
        """Stop asking."""
        self._service.close()

    def _forget(self) -> None:
        self._active = None
        self._problem = ""

    def _changed(self, signal: Signal) -> None:
        if signal.sender == self._service.owner and signal.body:
            self._signals += 1
            self._active = bool(signal.body[0])

    async def _follow(self, owner: str) -> None:
        while True:
            before = self._signals
            answer = await self._ask(owner)
            if self._signals == before:  # a signal meanwhile is newer than the answer
                self._active = answer
            await asyncio.sleep(self._poll_interval)

    async def _ask(self, owner: str) -> bool | None:
        """Ask; a time-out leaves the known state as it is, a refusal makes it unknown."""
        for path in self._paths:
            try:
                (active,) = await self._bus.call_async(Peer(owner, path, self.name), "GetActive")
            except DBusCallError as error:
                self._problem = str(error)
                if not error.name:
                    return self._active
            else:
                self._problem = ""
                return bool(active)
        return None
