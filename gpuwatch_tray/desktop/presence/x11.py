"""
The X server's idle time (X Window System Protocol 11, MIT-SCREEN-SAVER 1.1), with every wait bounded.

Not by python-xlib, which waits for ever where the server is grabbed, and leaks a socket where it cannot
connect.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.common.threads import run_forever, start_thread
from gpuwatch_tray.desktop.presence.types import X_SERVER, IdleCounter, SuspendLog, moment
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


LOCAL_DISPLAY = late_pattern(r"(?:unix)?:(\d{1,5})(?:\.\d+)?")
COOKIE = b"MIT-MAGIC-COOKIE-1"
SAVER = "MIT-SCREEN-SAVER"
XWAYLAND = "XWAYLAND"
FAMILY_LOCAL, FAMILY_WILD = 256, 65535
LITTLE_ENDIAN = ord("l")
QUERY_EXTENSION, QUERY_INFO = 98, 1  # opcodes: of the protocol, of the extension
ERROR, REPLY = 0, 1  # first byte of a packet of 32 bytes; any other is an event's
MAX_WELCOME = MIB  # bytes in the server's description of itself


class XServerError(Exception):
    """An X server that gives no idle time; the text says why in one line."""


def authority_entries(authority: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the entries of an Xauthority file: family; address, display number, name and data."""
    place = 0
    while place + 2 <= len(authority):
        (family,) = struct.unpack_from(">H", authority, place)
        place += 2
        fields = []
        for _field in range(4):
            if place + 2 > len(authority):
                return  # the file is cut off
            (length,) = struct.unpack_from(">H", authority, place)
            fields.append(authority[place + 2 : place + 2 + length])
            place += 2 + length
        yield family, fields


def find_cookie(authority: bytes, host: str, number: str) -> bytes:
    """Return the cookie for the local display `number`, empty for none."""
    for family, (address, display, name, data) in authority_entries(authority):
        here = family == FAMILY_WILD or (family == FAMILY_LOCAL and address == host.encode())
        if here and name == COOKIE and display in {b"", number.encode()}:
            return data
    return b""


def authority_file(environ: Mapping[str, str]) -> Path:
    """Return the path of the Xauthority file."""
    return Path(environ.get("XAUTHORITY") or Path(environ.get("HOME") or "/") / ".Xauthority")


class XConnection:
    """A connection to the X server of the environment's DISPLAY; raises XServerError for any failure."""

    def __init__(self, environ: Mapping[str, str], timeout: float = 2.0) -> None:
        display = environ.get("DISPLAY", "")
        local = LOCAL_DISPLAY.fullmatch(display)
        if local is None:
            raise XServerError(_("not a display of this machine"))
        number = local[1]
        try:
            key = find_cookie(authority_file(environ).read_bytes(), socket.gethostname(), number)
        except OSError:
            key = b""  # many servers admit their user without one
        self._socket = _connect(f"/tmp/.X11-unix/X{number}", timeout)  # noqa: S108  # where X has it
        try:
            self._root = self._handshake(key)
            self._saver = self._screen_saver()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def interrupt(self) -> None:
        """End another thread's wait, which raises XServerError."""
        with contextlib.suppress(OSError):  # already closed
            self._socket.shutdown(socket.SHUT_RDWR)

    def idle(self) -> float:
        """Return the seconds since the last input."""
        self._send(struct.pack("<BBHI", self._saver, QUERY_INFO, 2, self._root))
        (milliseconds,) = struct.unpack_from("<I", self._reply(), 16)
        return float(milliseconds) / 1000

    def _screen_saver(self) -> int:
        if self._extension(XWAYLAND):
            raise XServerError(_("this is XWayland, which does not see all input"))
        opcode = self._extension(SAVER)
        if not opcode:
            raise XServerError(_("the server lacks the {name} extension").format(name=SAVER))
        return opcode

    def _extension(self, name: str) -> int:
        """Return the opcode of an extension, 0 where the server lacks it."""
        text = _padded(name.encode())
        self._send(struct.pack("<BxHHxx", QUERY_EXTENSION, 2 + len(text) // 4, len(name)) + text)
        present, opcode = struct.unpack_from("<BB", self._reply(), 8)
        return int(opcode) if present else 0

    def _handshake(self, key: bytes) -> int:
        """Greet the server; return the number of its first root window."""
        name = COOKIE if key else b""
        greeting = struct.pack("<BxHHHHxx", LITTLE_ENDIAN, 11, 0, len(name), len(key))
        self._send(greeting + _padded(name) + _padded(key))
        welcome, length, quarters = struct.unpack("<BB4xH", self._receive(8))
        if quarters * 4 > MAX_WELCOME:
            raise XServerError(_("its answer cannot be understood"))
        description = self._receive(quarters * 4)
        if welcome != 1:
            raise XServerError(
                _("refused: {why}").format(
                    why=description[:length].decode("latin-1").strip() or _("no reason given")
                )
            )
        try:
            vendor, formats = struct.unpack_from("<16xH3xB", description)
            (root,) = struct.unpack_from("<I", description, 32 + -(-vendor // 4) * 4 + 8 * formats)
        except struct.error:
            raise XServerError(_("its answer cannot be understood")) from None
        return int(root)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise XServerError(str(error)) from error

    def _reply(self) -> bytes:
        while True:
            packet = self._receive(32)
            if packet[0] == REPLY:
                return packet
            if packet[0] == ERROR:
                raise XServerError(_("the server answered with error {code}").format(code=packet[1]))

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                part = self._socket.recv(size - len(data))
            except OSError as error:
                raise XServerError(_("no answer: {error}").format(error=error)) from error
            if not part:
                raise XServerError(_("the connection was ended"))
            data += part
        return data


def _connect(path: str, timeout: float) -> socket.socket:
    """Connect by the socket file, else by X's name in Linux's abstract namespace."""
    failed = ""
    for address in (path, f"\0{path}"):
        trying = socket.socket(vars(socket)["AF_UNIX"])  # which Windows does not have
        trying.settimeout(timeout)
        try:
            trying.connect(address)
        except OSError as error:
            trying.close()
            failed = failed or f"{error}: {path}"
        else:
            return trying
    raise XServerError(failed)


def _padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // 4) * 4, b"\0")


CONNECT_AGAIN = 10.0  # seconds


class XServer(IdleCounter):
    """The X server, asked every `interval` seconds on a thread, for a grab makes its clients wait."""

    name = X_SERVER

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
