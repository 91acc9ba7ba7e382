"""Wayland compositors for the tests: nested ones of whole desktops, and one that is played."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e import rig
from tests.e2e.programs import listens
from tests.support.timing import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
EXT_IDLE_NOTIFY = (1, 8)  # the first Sway that has it; 1.7 has only the protocol before it
START = 30.0  # seconds for a compositor's start on a machine that is busy


def need(*tools: str) -> None:
    """Skip where one is missing; under CI, where they must be there, fail."""
    if lacking := [tool for tool in tools if shutil.which(tool) is None]:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs {', '.join(lacking)}")


def sway_version() -> tuple[int, ...]:
    """The installed Sway's version."""
    told = subprocess.run(["sway", "--version"], capture_output=True, text=True, check=True, timeout=60)
    return tuple(int(part) for part in told.stdout.split()[-1].split("-")[0].split("."))


@contextmanager
def nested_sway(display: str) -> Iterator[dict[str, str]]:
    """Run a sway in an X window; yield the environment of its clients."""
    # It refuses to be root, and another user does not get into pytest's folders.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": name,
            "XDG_RUNTIME_DIR": name,
            "DISPLAY": display,
            "WLR_BACKENDS": "x11",
            "WLR_RENDERER": "pixman",
        }
        drop = []
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
            drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        (folder / "config").write_text("xwayland disable\n")
        sway = [*drop, "sway", "--config", str(folder / "config")]
        with rig.process(sway, environment, folder / "sway.log"):
            yield {**environment, "WAYLAND_DISPLAY": _socket(folder), "XDG_CURRENT_DESKTOP": "sway"}


@contextmanager
def nested_kwin(display: str, folder: Path) -> Iterator[dict[str, str]]:
    """Run a kwin_wayland in an X window, on the same socket each time; yield its clients' environment."""
    # the packaged file carries capabilities, which a container refuses to execute; a copy has none
    compositor = folder / "kwin_wayland"
    if not compositor.exists():
        shutil.copy(shutil.which("kwin_wayland") or "", compositor)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "DISPLAY": display,
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        "DBUS_SYSTEM_BUS_ADDRESS": "disabled:",
    }
    (folder / "kwinrc").write_text("[Compositing]\nEnabled=false\n")
    command = [str(compositor), "--x11-display", display, "--width", "400", "--height", "300"]
    command += ["--no-lockscreen", "--no-global-shortcuts", "--socket", "wayland-9"]
    with rig.process(command, environment, folder / "kwin.log"):
        yield {**environment, "WAYLAND_DISPLAY": _socket(folder), "XDG_CURRENT_DESKTOP": "KDE"}


def _socket(folder: Path) -> str:
    def found() -> list[str]:
        return [path.name for path in folder.glob("wayland-*") if path.is_socket() and listens(path)]

    (name,) = wait_until(found, "the compositor's socket", START)
    return name


class PlayedCompositor:
    """
    A compositor that is played, with these globals: pairs of interface and version.

    It takes requests and answers sync; what else it says, and when, the test decides.
    """

    def __init__(self, folder: Path, *offered: tuple[str, int]) -> None:
        self.environment = {"WAYLAND_DISPLAY": "wayland-7", "XDG_RUNTIME_DIR": str(folder)}
        self.requests: list[tuple[int, int, bytes]] = []  # object, opcode and body, of the present client
        self.answers = True
        self.unanswered: list[bytes] = []  # bodies of sync
        self.clients = 0
        self._offered = offered
        self._client: socket.socket | None = None
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / "wayland-7"))
        self._listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """End it; clients see the connection end."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End the client's connection."""
        if self._client is not None:
            with suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)

    def say(self, sender: int, opcode: int, body: bytes = b"") -> None:
        """Send an event."""
        self.raw(struct.pack("=II", sender, (8 + len(body)) << 16 | opcode) + body)

    def raw(self, data: bytes) -> None:
        """Send bytes."""
        assert self._client is not None
        self._client.sendall(data)

    def answer(self) -> None:
        """Answer what is unanswered."""
        while self.unanswered:
            self._answer(self.unanswered.pop())

    def _answer(self, callback: bytes) -> None:
        self.say(struct.unpack("=I", callback)[0], 0, struct.pack("=I", 0))
        self.say(1, 1, callback)

    def offer(self, name: int, interface: str, version: int) -> None:
        """Announce a global."""
        text = interface.encode() + b"\0"
        text = struct.pack("=I", len(text)) + text.ljust(-(-len(text) // 4) * 4, b"\0")
        self.say(2, 0, struct.pack("=I", name) + text + struct.pack("=I", version))

    def notifications(self) -> list[tuple[int, int, int]]:
        """The notifications asked for: opcode of the request, object id and milliseconds."""
        bound = [
            struct.unpack("=I", body[-4:])[0] for target, code, body in list(self.requests) if target == 2
        ]
        asked = [
            (code, body) for target, code, body in list(self.requests) if target in bound and len(body) == 12
        ]
        return [(code, *struct.unpack("=II", body[:8])) for code, body in asked]

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _address = self._listening.accept()
                self._client, self.requests = client, []
                self.clients += 1
                with client:
                    self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        stream = client.makefile("rb")
        while header := stream.read(8):
            target, word = struct.unpack("=II", header)
            body = stream.read((word >> 16) - 8)
            request = (target, word & 0xFFFF, body)
            self.requests.append(request)
            if request[:2] == (1, 1):
                for name, (interface, version) in enumerate(self._offered, 1):
                    self.offer(name, interface, version)
            elif request[:2] == (1, 0):
                if self.answers:
                    self._answer(body)
                else:
                    self.unanswered.append(body)
