"""The desktop's services as presence asks them, played by the tests."""

from __future__ import annotations

import asyncio
from typing import Annotated

from dbus_fast import DBusError, PropertyAccess  # the tests speak the protocol too
from dbus_fast.annotations import DBusBool, DBusObjectPath, DBusSignature, DBusStr, DBusUInt64
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property, dbus_signal

LOGIND = "org.freedesktop.login1"
SESSIONS = "/org/freedesktop/login1/session"

DBusUnsigned = Annotated[int, DBusSignature("u")]
HANG = 30  # seconds: longer than any test waits


class FakeMonitor(ServiceInterface):
    """A compositor's idle monitor."""

    def __init__(self, name: str, idle: float = 0.0, *, hangs: bool = False):
        super().__init__(name)
        self.idle, self.hangs, self.asked = idle, hangs, 0

    @dbus_method("GetIdletime")
    async def get_idletime(self) -> DBusUInt64:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(HANG)
        return round(self.idle * 1000)


class FakeLocker(ServiceInterface):
    """A screen saver's service; `idle` are the answers of GetSessionIdleTime, None to refuse."""

    def __init__(self, name: str, *, active: bool = False, hangs: bool = False, idle: int | None = None):
        super().__init__(name)
        self.active, self.hangs, self.idle, self.asked = active, hangs, idle, 0

    @dbus_method("GetActive")
    async def get_active(self) -> DBusBool:
        if self.hangs:
            await asyncio.sleep(HANG)
        return self.active

    @dbus_method("GetSessionIdleTime")
    def get_session_idle_time(self) -> DBusUnsigned:
        self.asked += 1
        if self.idle is None:
            raise DBusError("org.freedesktop.DBus.Error.NotSupported", "not on this platform")
        return self.idle

    @dbus_signal("ActiveChanged")
    def active_changed(self, active: bool) -> Annotated[bool, DBusSignature("b")]:
        return active


class FakeManager(ServiceInterface):
    """logind's manager: `sessions` are the ids that it knows, with their paths."""

    def __init__(self, sessions: dict[str, str], *, hangs: bool = False):
        super().__init__(f"{LOGIND}.Manager")
        self.sessions, self.hangs, self.asked = sessions, hangs, []

    @dbus_method("GetSession")
    async def get_session(self, name: DBusStr) -> DBusObjectPath:
        self.asked.append(name)
        if self.hangs:
            await asyncio.sleep(HANG)
        if name not in self.sessions:
            raise DBusError(f"{LOGIND}.NoSuchSession", f"no session '{name}' known")
        return self.sessions[name]


class FakeSession(ServiceInterface):
    """One of logind's sessions; `since` is CLOCK_MONOTONIC in seconds."""

    def __init__(self, *, locked: bool = False, idle: bool = False, since: float = 0.0):
        super().__init__(f"{LOGIND}.Session")
        self.locked, self.idle, self.since = locked, idle, since

    @dbus_property(access=PropertyAccess.READ, name="LockedHint")
    def locked_hint(self) -> DBusBool:
        return self.locked

    @dbus_property(access=PropertyAccess.READ, name="IdleHint")
    def idle_hint(self) -> DBusBool:
        return self.idle

    @dbus_property(access=PropertyAccess.READ, name="IdleSinceHintMonotonic")
    def idle_since(self) -> DBusUInt64:
        return round(self.since * 1e6)

    def change(self, *, locked: bool | None = None, idle: tuple[bool, float] | None = None):
        """Change and tell, as logind does."""
        told = {}
        if locked is not None:
            self.locked = told["LockedHint"] = locked
        if idle is not None:
            self.idle, self.since = idle
            told |= {"IdleHint": self.idle, "IdleSinceHintMonotonic": round(self.since * 1e6)}
        self.emit_properties_changed(told)
