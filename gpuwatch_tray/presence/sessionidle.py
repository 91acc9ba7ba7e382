"""GetSessionIdleTime of org.freedesktop.ScreenSaver, the least trusted source."""

from __future__ import annotations

import asyncio

from gpuwatch_tray.bus import Connection, DBusCallError, Peer
from gpuwatch_tray.language import _
from gpuwatch_tray.presence.clock import IdleCounter, SuspendLog, moment
from gpuwatch_tray.presence.lockers import SCREEN_LOCKS
from gpuwatch_tray.presence.owned import FollowNameOwner

SERVICE = "org.freedesktop.ScreenSaver"
UNITS = (1.0, 1000.0)  # counts in a second: seconds, milliseconds
GROWTH_BOUNDS = (0.5, 1.5)  # of the expected growth: the answers are rounded and not evenly spaced
MIN_PROOFS = 2  # growths in succession: one between two small numbers proves nothing


class IdleUnitProbe:
    """The unit of a counter, found by its growth."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._unit: float | None = None
        self._proofs = 0

    def observe(self, value: float, at: float) -> float | None:
        """Return `value`, read at `at`, as seconds without input; None while the unit is unknown."""
        last, self._last = self._last, (value, at)
        if last is None:
            return None
        passed = at - last[1]
        if value > last[0]:
            self._check_unit((value - last[0]) / passed if passed > 0 else 0.0)
        elif value == last[0] > 0:
            self._unit, self._proofs = None, 0  # it stands still
        if self._unit is None or self._proofs < MIN_PROOFS:
            return None
        return value / self._unit

    def _check_unit(self, rate: float) -> None:
        unit = next((unit for unit in UNITS if GROWTH_BOUNDS[0] <= rate / unit <= GROWTH_BOUNDS[1]), None)
        if unit is not None:
            self._proofs = min(self._proofs + 1, MIN_PROOFS) if unit == self._unit else 1
            self._unit = unit
        elif self._unit is not None and rate > self._unit * GROWTH_BOUNDS[1]:
            self._unit, self._proofs = None, 0  # too fast for its unit; too slow means input meanwhile


class SessionIdle(IdleCounter):
    """
    The idle time, asked every `interval` seconds until its owner refuses.

    Desktops answer in seconds, in milliseconds, always 0, or refuse: it is believed once it has grown with
    the clock, which also shows the unit.
    """

    name = f"{SERVICE} (idle time)"

    def __init__(self, bus: Connection, suspends: SuspendLog, interval: float) -> None:
        super().__init__(self.name, suspends)
        self._bus = bus
        self._interval = interval
        self._problem = ""
        self._service = FollowNameOwner(bus, SERVICE, self._follow, self._forget)

    def state(self) -> str:
        """Explain a missing answer."""
        return (self._problem or _("has not been seen to grow")) if self._service.owner else _("not running")

    def close(self) -> None:
        """Stop asking."""
        self._service.close()

    def _forget(self) -> None:
        self.forget()
        self._problem = ""

    async def _follow(self, owner: str) -> None:
        growth = IdleUnitProbe()
        peers = [Peer(owner, path, SERVICE) for path in SCREEN_LOCKS[SERVICE]]
        while peers:
            try:
                (value,) = await self._bus.call_async(peers[0], "GetSessionIdleTime")
            except DBusCallError as error:
                self._problem = str(error)
                self.forget()
                if error.name:
                    del peers[0]
                    continue
            else:
                self._problem = ""
                at = moment()
                idle = growth.observe(value, at.awake)
                self.forget() if idle is None else self.record(at, idle)
            await asyncio.sleep(self._interval)
