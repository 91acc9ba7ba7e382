"""The presence sources that speak D-Bus: logind, idle monitors, screen locks, session idle time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.bus import BusUnavailableError, Connection, DBusCallError, Peer, Signal, system_address
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.presence.clock import Moment, SuspendLog, moment
from gpuwatch_tray.presence.decide import Evidence, PresenceReading
from gpuwatch_tray.presence.owned import POLL_INTERVAL, FollowNameOwner

if TYPE_CHECKING:
    from collections.abc import Mapping

LOGIND = "org.freedesktop.login1"
MANAGER = "org.freedesktop.login1.Manager"
SESSION = "org.freedesktop.login1.Session"
PROPERTIES = "org.freedesktop.DBus.Properties"
OWN_SESSION = "auto"  # logind's name for the caller's session, or the session with the user's display
RECONNECT_AFTER = 30.0  # seconds until the next try to reach the system bus


class Logind:
    """
    The lock and the idle hint of the session of `environ`, over a connection to the system bus of its own.

    It lives on the loop of `bus`. Only a set idle hint is evidence: Plasma never sets it.
    """

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


class _Session:
    """The session's object, followed by PropertiesChanged and asked every minute."""

    def __init__(self, connection: Connection, logind: Logind) -> None:
        self._connection = connection
        self._logind = logind
        self._subscribed: set[str] = set()  # the object paths with a subscription
        self._path = ""
        self._signals = 0
        self._service = FollowNameOwner(connection, LOGIND, self._follow, self._forget)

    def close(self) -> None:
        self._service.close()

    def _forget(self) -> None:
        self._path = ""
        self._logind.forget(_("has not answered yet") if self._service.owner else _("not running"))

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
        if (interface, signal.path) == (SESSION, self._path) and signal.sender == self._service.owner:
            self._signals += 1
            self._logind.apply(changed)
