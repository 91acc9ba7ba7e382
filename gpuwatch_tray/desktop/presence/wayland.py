"""
The time without input from a Wayland compositor, by its protocol ext-idle-notify-v1 (2022).

Spoken over the compositor's socket, as X11's is: eight messages, none of which carries a file descriptor.
pywayland has the protocol, but comes built for x86-64 alone: on an aarch64 workstation, and on each new
Python until its next release (the last took two years), installing this program would need a compiler and
libwayland's headers. It would also cost the tray 50 ms and 2.5 MB, this 8 ms and 0.3 MB.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.common.threads import run_forever, start_thread
from gpuwatch_tray.desktop.presence.idle_reports import IdleReports, ReportedSource
from gpuwatch_tray.desktop.presence.types import COMPOSITOR, Moment, PresenceReading, SuspendLog, moment
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


NOTIFIER, SEAT = "ext_idle_notifier_v1", "wl_seat"
DISPLAY, REGISTRY, SYNC, FIRST_FREE = 1, 2, 3, 4  # object ids; wl_display's is fixed
DISPLAY_SYNC, DISPLAY_GET_REGISTRY, REGISTRY_BIND = 0, 1, 0  # opcodes of requests, in the protocols' order
GET_NOTIFICATION, GET_INPUT_NOTIFICATION, DESTROY = 1, 2, 0
ERROR, DELETE_ID, GLOBAL, GLOBAL_REMOVE, IDLED = 0, 1, 0, 1, 0  # opcodes of events
HEADER = 8  # bytes: the object, and the size with the opcode in its lower half
ANSWER_TIMEOUT = 2.0  # seconds to connect, and to send
PAUSE = 10.0  # seconds without input until the compositor tells; AWAY_MIN is counted from there
CONNECT_AGAIN = 10.0  # seconds


class CompositorError(Exception):
    """A compositor that gives no idle time; the text says why in one line."""


class WaylandConnection:
    """
    A connection to the compositor of the environment's WAYLAND_DISPLAY; raises CompositorError.

    `read` calls `on_idle` when no seat has had input for `pause` seconds, and `on_active` when one has again.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        pause: float,
        on_idle: Callable[[], None],
        on_active: Callable[[], None],
    ) -> None:
        self._pause = round(pause * 1000)
        self._on_idle, self._on_active = on_idle, on_active
        self._buffer = b""
        self._next = FIRST_FREE
        self._notifier: tuple[int, int] | None = None  # object id and version
        self._seats: dict[int, int | None] = {}  # the global's name -> the notification's object id
        self._idle: set[int] = set()  # notifications whose seat is without input
        self._watching = False
        self._sync_free = True  # whether the id SYNC may be used again
        self.answered = False  # whether the last `sync` was answered
        # An absolute path is one; else it is in the runtime folder.
        path = Path(environ.get("XDG_RUNTIME_DIR") or "/") / environ.get("WAYLAND_DISPLAY", "")
        self._socket = socket.socket(vars(socket)["AF_UNIX"])  # which Windows does not have
        try:
            self._socket.settimeout(ANSWER_TIMEOUT)
            self._socket.connect(str(path))
            self._send(DISPLAY, DISPLAY_GET_REGISTRY, struct.pack("=I", REGISTRY))
        except (OSError, CompositorError) as error:
            self.close()
            raise CompositorError(f"{error}: {path}") from error

    @property
    def can_tell(self) -> bool:
        """Whether the compositor has the protocol, and a seat."""
        return self.has_protocol and bool(self._seats)

    @property
    def has_protocol(self) -> bool:
        """Whether the compositor has offered the protocol by now."""
        return self._notifier is not None

    def watch(self) -> None:
        """Ask for the reports of all seats, those to come included."""
        self._watching = True
        for seat in [name for name, notification in self._seats.items() if notification is None]:
            self._watch_seat(seat)

    def close(self) -> None:
        """Close the connection; the compositor drops all that was made for it."""
        self._socket.close()

    def interrupt(self) -> None:
        """End another thread's `read`, which raises CompositorError."""
        with contextlib.suppress(OSError):  # already closed
            self._socket.shutdown(socket.SHUT_RDWR)

    def sync(self) -> None:
        """Ask for a sign of life, which sets `answered`, unless one is still awaited."""
        if self._sync_free:
            self._sync_free = self.answered = False
            self._send(DISPLAY, DISPLAY_SYNC, struct.pack("=I", SYNC))

    def read(self, seconds: float) -> None:
        """Take the events that come within `seconds`; return after the first of them."""
        self._socket.settimeout(seconds)
        try:
            part = self._socket.recv(65536)
        except TimeoutError:
            return
        except OSError as error:
            raise CompositorError(str(error)) from error
        if not part:
            raise CompositorError(_("the connection was ended"))
        self._buffer += part
        for sender, opcode, body in self._messages():
            try:
                self._take(sender, opcode, body)
            except struct.error:
                raise CompositorError(_("its answer cannot be understood")) from None

    def _messages(self) -> Iterator[tuple[int, int, bytes]]:
        while len(self._buffer) >= HEADER:
            sender, word = struct.unpack_from("=II", self._buffer)
            size = word >> 16
            if size < HEADER:
                raise CompositorError(_("its answer cannot be understood"))
            if len(self._buffer) < size:
                return
            body, self._buffer = self._buffer[HEADER:size], self._buffer[size:]
            yield sender, word & 0xFFFF, body

    def _take(self, sender: int, opcode: int, body: bytes) -> None:
        if (sender, opcode) == (DISPLAY, ERROR):
            raise CompositorError(_("refused: {why}").format(why=_string(body, 8)[0]))
        if (sender, opcode) == (DISPLAY, DELETE_ID):
            if struct.unpack("=I", body) == (SYNC,):
                self._sync_free = True
        elif (sender, opcode) == (REGISTRY, GLOBAL):
            (name,) = struct.unpack_from("=I", body)
            interface, place = _string(body, 4)
            self._offered(name, interface, *struct.unpack_from("=I", body, place))
        elif (sender, opcode) == (REGISTRY, GLOBAL_REMOVE):
            self._removed(*struct.unpack("=I", body))
        elif sender == SYNC:
            self.answered = True
        elif sender in self._seats.values():  # of one that was just given up, an event may be on its way
            self._told(sender, idle=opcode == IDLED)

    def _offered(self, name: int, interface: str, version: int) -> None:
        if interface == NOTIFIER and self._notifier is None:
            # From version 2 on it can be asked for input alone: a film that keeps the screen awake is none.
            version = min(version, 2)
            self._notifier = self._bind(name, interface, version), version
        elif interface == SEAT:
            self._seats[name] = None
            if self._watching:
                self._watch_seat(name)

    def _removed(self, name: int) -> None:
        notification = self._seats.pop(name, None)
        if notification is not None:
            self._send(notification, DESTROY)
            self._told(notification, idle=False)

    def _watch_seat(self, seat: int) -> None:
        if self._notifier is not None:
            notifier, version = self._notifier
            bound = self._bind(seat, SEAT, 1)
            request = GET_INPUT_NOTIFICATION if version > 1 else GET_NOTIFICATION
            self._seats[seat] = number = self._new_id()
            self._send(notifier, request, struct.pack("=III", number, self._pause, bound))

    def _told(self, notification: int, *, idle: bool) -> None:
        if idle:
            self._idle.add(notification)
            if self._idle >= set(self._seats.values()):
                self._on_idle()
        else:
            self._idle.discard(notification)
            self._on_active()

    def _bind(self, name: int, interface: str, version: int) -> int:
        number = self._new_id()
        text = interface.encode() + b"\0"
        padded = struct.pack("=I", len(text)) + text.ljust(-(-len(text) // 4) * 4, b"\0")
        body = struct.pack("=I", name) + padded + struct.pack("=II", version, number)
        self._send(REGISTRY, REGISTRY_BIND, body)
        return number

    def _new_id(self) -> int:
        self._next += 1
        return self._next - 1

    def _send(self, target: int, opcode: int, body: bytes = b"") -> None:
        self._socket.settimeout(ANSWER_TIMEOUT)
        try:
            self._socket.sendall(struct.pack("=II", target, (HEADER + len(body)) << 16 | opcode) + body)
        except OSError as error:
            raise CompositorError(str(error)) from error


def _string(body: bytes, place: int) -> tuple[str, int]:
    """Return the string at `place`, and the place after it."""
    (length,) = struct.unpack_from("=I", body, place)
    text = body[place + 4 : place + 4 + max(0, length - 1)]
    return text.decode("utf-8", "replace"), place + 4 + -(-length // 4) * 4


class IdleNotify(ReportedSource):
    """
    The compositor, listened to on a thread, and asked for a sign of life every `interval` seconds.

    Its silence means input only while it lives. `lacking` is set where it does not have the protocol.
    """

    name = COMPOSITOR

    def __init__(
        self,
        environ: Mapping[str, str],
        away: float,
        suspends: SuspendLog,
        interval: float,
        connect_again: float = CONNECT_AGAIN,
    ) -> None:
        self.lacking = threading.Event()
        self._environ = environ
        self._pause = max(1.0, min(away, PAUSE))
        self._suspends = suspends
        self._interval = interval
        self._connect_again = connect_again
        self._reports = IdleReports(self._pause, suspends)
        self._alive_at = 0.0  # the last sign of life, on the `boot` clock
        self._problem = _("has not answered yet")
        self._connection: WaylandConnection | None = None
        self._stop = threading.Event()
        self._thread = start_thread(
            "presence-wayland", run_forever, "presence-wayland", self._run, self._stop
        )

    def reading(self, now: Moment) -> PresenceReading | None:
        """Return what the compositor reported, true at its last sign of life."""
        return self._reports.reading(self.name, now, self._alive_at)

    def state(self) -> str:
        """Explain a missing reading."""
        return self._problem or _("nothing reported yet")

    def close(self) -> None:
        """End the thread within half a second."""
        self._stop.set()
        if (connection := self._connection) is not None:
            connection.interrupt()
        self._thread.join(0.5)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except CompositorError as error:
                self._problem = str(error)
            self._reports.stop()
            self._stop.wait(self._connect_again)

    def _listen(self) -> None:
        """Connect and listen until `close`; raises CompositorError when the connection is lost."""
        connection = WaylandConnection(self._environ, self._pause, self._on_idle, self._on_active)
        self._connection = connection
        try:
            asked = -self._interval
            while not self._stop.is_set():
                if (now := moment().boot) - asked >= self._interval:
                    asked = now
                    connection.sync()
                connection.read(self._interval)
                if connection.answered:
                    self._answered(connection)
        finally:
            self._connection = None
            connection.close()

    def _answered(self, connection: WaylandConnection) -> None:
        """Note a sign of life, before which all that the compositor offers has come."""
        now = self._now()
        self._alive_at = now.boot
        if not connection.has_protocol:
            self.lacking.set()
            self._problem = _("the compositor lacks {name}").format(name=NOTIFIER)
        elif not connection.can_tell:
            self._problem = _("the compositor has no seat")
        if connection.can_tell and not self._reports.running:
            self._problem = ""
            self._reports.start(now)  # before it is asked for reports, so that none comes too early
            connection.watch()
        elif not connection.can_tell:
            self._reports.stop()

    def _on_idle(self) -> None:
        self._reports.idle(self._now())

    def _on_active(self) -> None:
        self._reports.active(self._now())

    def _now(self) -> Moment:
        now = moment()
        self._suspends.observe(now)
        return now
