"""The presence sources that speak D-Bus: logind, idle monitors, screen locks, session idle time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.desktop.dbus import (
    BusUnavailableError,
    Connection,
    DBusCallError,
    Peer,
    Signal,
    system_address,
)
from gpuwatch_tray.desktop.presence.types import (
    Evidence,
    IdleCounter,
    Moment,
    PresenceReading,
    SuspendLog,
    moment,
)
from gpuwatch_tray.i18n import N_, _

if TYPE_CHECKING:
    from collections.abc import Mapping


POLL_INTERVAL = 60.0  # seconds between two questions: a signal may be missed, a service may be busy


class BusService:
    """
    A service: a task `_follow(owner)` on the bus's loop for each owner of the bus name `service`.

    The owner is a unique name: asking it never starts an absent service. Each change of it first calls
    `_forget` on the loop's thread. `_problem` is the last error.
    """

    def __init__(self, bus: Connection, service: str) -> None:
        self._owner = ""
        self._bus = bus
        self._problem = ""
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        bus.follow_owner(service, self._owner_changed)

    def close(self) -> None:
        """Stop following; from any thread, also when the loop does not run."""
        self._closed = True
        self._bus.post(self._end)

    async def _follow(self, owner: str) -> None:
        raise NotImplementedError

    def _forget(self) -> None:
        raise NotImplementedError

    def _owner_changed(self, owner: str) -> None:
        self._end()
        self._owner = owner
        self._forget()
        if owner and not self._closed:
            self._task = self._bus.spawn(self._follow(owner))

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None


LOGIND = "org.freedesktop.login1"
MANAGER = "org.freedesktop.login1.Manager"
SESSION = "org.freedesktop.login1.Session"
PROPERTIES = "org.freedesktop.DBus.Properties"
OWN_SESSION = "auto"  # logind's name for the caller's session, or the session with the user's display
RECONNECT_AFTER = 30.0  # seconds until the next try to reach the system bus


class Logind:
    """The lock and the idle hint of the session, over a connection to the system bus of its own."""

    name = "logind"

    def __init__(
        self,
        bus: Connection,
        environ: Mapping[str, str],
        suspends: SuspendLog,
        reconnect_after: float = RECONNECT_AFTER,
    ) -> None:
        self._bus = bus
        self._environ = environ
        self._suspends = suspends
        self._reconnect_after = reconnect_after
        self._locked = False
        self._idle_since: float | None = None  # on the `awake` clock; None where the hint is not set
        self._problem = _("has not answered yet")
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        bus.post(self._start)

    def reading(self, now: Moment) -> PresenceReading | None:
        """Return that the screen is locked, else for how long at least the session is idle."""
        if self._locked:
            return PresenceReading(_("{source} (locked)").format(source=self.name), Evidence.LOCKED, now.boot)
        since = self._idle_since
        if since is None:
            return None
        idle = max(0.0, now.awake - since) + self._suspends.slept_since(since)
        return PresenceReading(
            _("{source} (idle hint)").format(source=self.name), Evidence.IDLE_AT_LEAST, now.boot, idle
        )

    def state(self) -> str:
        """Explain a missing reading."""
        return self._problem or _("not locked, and no idle hint")

    def close(self) -> None:
        """Leave the system bus; from any thread, also when the loop does not run."""
        self._closed = True
        self._bus.post(self._end)

    def _start(self) -> None:
        if not self._closed:
            self._task = self._bus.spawn(self._run())

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            try:
                connection = await Connection.open(system_address(self._environ), N_("system bus"))
            except BusUnavailableError as error:
                self._problem = str(error)
            else:
                session = _Session(connection, self)
                try:
                    await connection.wait_lost()
                finally:
                    session.close()
                    self.forget(_("the system bus went away"))
                    await connection.disconnect()
            await asyncio.sleep(self._reconnect_after)

    def forget(self, problem: str) -> None:
        """Forget what is known of the session, because of `problem`."""
        self._locked, self._idle_since, self._problem = False, None, problem

    def candidates(self) -> list[str]:
        """Return the session's names to try; a terminal multiplexer may hold the id of an ended session."""
        return [name for name in (self._environ.get("XDG_SESSION_ID"), OWN_SESSION) if name]

    def apply(self, properties: Mapping[str, Any]) -> None:
        """Apply the properties that are among `properties` (dbus-fast's variants)."""
        self._problem = ""
        if "LockedHint" in properties:
            self._locked = bool(properties["LockedHint"].value)
        if "IdleHint" in properties:
            if not properties["IdleHint"].value:
                self._idle_since = None
            elif "IdleSinceHintMonotonic" in properties:
                self._idle_since = properties["IdleSinceHintMonotonic"].value / 1e6
            elif self._idle_since is None:
                self._idle_since = moment().awake


class _Session(BusService):
    """The session's object, followed by PropertiesChanged and asked every minute."""

    def __init__(self, connection: Connection, logind: Logind) -> None:
        self._connection = connection
        self._logind = logind
        self._subscribed: set[str] = set()  # the object paths with a subscription
        self._path = ""
        self._signals = 0
        super().__init__(connection, LOGIND)

    def _forget(self) -> None:
        self._path = ""
        self._logind.forget(_("has not answered yet") if self._owner else _("not running"))

    async def _follow(self, owner: str) -> None:
        while True:
            try:
                self._path = self._path or await self._find_session(owner)
                await self._subscribe()
                properties = await self._ask(owner)
            except DBusCallError as error:
                if error.name or not self._path:  # a time-out leaves what is known as it is
                    self._path = ""
                    self._logind.forget(str(error))
            else:
                self._logind.apply(properties)
            await asyncio.sleep(POLL_INTERVAL)

    async def _ask(self, owner: str) -> Mapping[str, Any]:
        """Return the session's properties, newer than every signal so far; raises DBusCallError."""
        peer = Peer(owner, self._path, PROPERTIES)
        while True:
            before = self._signals
            (properties,) = await self._connection.call_async(peer, "GetAll", "s", [SESSION])
            if self._signals == before:  # a signal meanwhile is newer than the answer
                return dict(properties)

    async def _find_session(self, owner: str) -> str:
        """Return the path of the session's object; raises DBusCallError."""
        manager = Peer(owner, "/org/freedesktop/login1", MANAGER)
        *first, last = self._logind.candidates()
        for name in first:
            try:
                (path,) = await self._connection.call_async(manager, "GetSession", "s", [name])
            except DBusCallError:
                continue
            return str(path)
        (path,) = await self._connection.call_async(manager, "GetSession", "s", [last])
        return str(path)

    async def _subscribe(self) -> None:
        """Subscribe to changes before asking, so that none is missed."""
        if self._path not in self._subscribed:
            self._subscribed.add(self._path)
            await self._connection.subscribe_now(
                Peer(LOGIND, self._path, PROPERTIES), "PropertiesChanged", self._changed
            )

    def _changed(self, signal: Signal) -> None:
        interface, changed, _invalidated = signal.body
        if (interface, signal.path) == (SESSION, self._path) and signal.sender == self._owner:
            self._signals += 1
            self._logind.apply(changed)


# Bus name, which is also the interface, and the path of the monitor of all devices together.
MONITORS = {
    "org.gnome.Mutter.IdleMonitor": "/org/gnome/Mutter/IdleMonitor/Core",
    "org.cinnamon.Muffin.IdleMonitor": "/org/cinnamon/Muffin/IdleMonitor/Core",
}


class IdleMonitor(BusService, IdleCounter):
    """An idle monitor, asked every `interval` seconds; it knows of all input, also on Wayland."""

    def __init__(self, bus: Connection, name: str, path: str, suspends: SuspendLog, interval: float) -> None:
        IdleCounter.__init__(self, name, suspends)
        self._path = path
        self._interval = interval
        BusService.__init__(self, bus, name)

    def state(self) -> str:
        """Explain a missing answer."""
        return (self._problem or _("has not answered yet")) if self._owner else _("not running")

    def _forget(self) -> None:
        self.forget()

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


# Bus name, which is also the interface, and the paths of its object. KDE has had both.
SCREEN_LOCKS = {
    "org.freedesktop.ScreenSaver": ("/org/freedesktop/ScreenSaver", "/ScreenSaver"),
    "org.gnome.ScreenSaver": ("/org/gnome/ScreenSaver",),
    "org.xfce.ScreenSaver": ("/org/xfce/ScreenSaver",),
    "org.mate.ScreenSaver": ("/org/mate/ScreenSaver",),
    "org.cinnamon.ScreenSaver": ("/org/cinnamon/ScreenSaver",),
}


class ScreenLock(BusService):
    """A screen lock, followed by ActiveChanged, and asked when it appears and every minute."""

    def __init__(
        self, bus: Connection, name: str, paths: tuple[str, ...], poll_interval: float = POLL_INTERVAL
    ) -> None:
        self.name = name
        self._paths = paths
        self._poll_interval = poll_interval
        self._active: bool | None = None
        self._signals = 0
        for path in paths:
            bus.subscribe(Peer(name, path, name), "ActiveChanged", self._changed)
        super().__init__(bus, name)

    def reading(self, now: Moment) -> PresenceReading | None:
        """Return a reading for a locked screen; an unlocked one says nothing of the person."""
        if not (self._active and self._bus.connected):
            return None
        return PresenceReading(_("{source} (locked)").format(source=self.name), Evidence.LOCKED, now.boot)

    def state(self) -> str:
        """Explain a missing reading."""
        if not self._owner:
            return _("not running")
        return self._problem or (_("does not say") if self._active is None else _("not locked"))

    def _forget(self) -> None:
        self._active = None
        self._problem = ""

    def _changed(self, signal: Signal) -> None:
        if signal.sender == self._owner and signal.body:
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


class SessionIdle(BusService, IdleCounter):
    """
    The idle time, asked until its owner refuses.

    Desktops answer in seconds, milliseconds or always 0: it is believed once it grew with the clock.
    """

    name = f"{SERVICE} (idle time)"

    def __init__(self, bus: Connection, suspends: SuspendLog, interval: float) -> None:
        IdleCounter.__init__(self, self.name, suspends)
        self._interval = interval
        BusService.__init__(self, bus, SERVICE)

    def state(self) -> str:
        """Explain a missing answer."""
        return (
            (self._problem or _("its idle time has not been seen to grow"))
            if self._owner
            else _("not running")
        )

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
