"""The programs under the desktop: a process with an end, a session bus, an X server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.support.timing import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


SCREEN = (1024, 700)

# As dbus-daemon's own for a session, but for clients of other users: sway refuses root, so where root runs
# the tests, the panel in it is somebody else.
OPEN_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <standard_session_servicedirs/>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


@contextmanager
def process(
    command: list[str], environment: dict[str, str], log: Path, user: Sequence[str] = (), **more: Any
) -> Iterator[Any]:
    """
    Run a program in a session of its own, ended by its process group's id, also when the tests are killed.

    `user` are setpriv's options for running it as somebody else.
    """
    dying_with_us = ["setpriv", *user, "--pdeathsig", "TERM", *command]
    with log.open("ab") as output:
        running = subprocess.Popen(
            dying_with_us, env=environment, stdout=output, stderr=output, start_new_session=True, **more
        )
    try:
        yield running
    finally:
        end(running)


def end(running: subprocess.Popen[bytes], patience: float = 2.0) -> None:
    """End a program started with `start_new_session` and what it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(running.pid, number)
        except ProcessLookupError:
            break
        try:
            running.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    running.wait()


@contextmanager
def session_bus(
    folder: Path, environment: dict[str, str] | None = None, *, anybody: bool = False
) -> Iterator[str]:
    """Run a private session bus, also for other users if for `anybody`; yield its address."""
    path = folder / "bus"
    address = f"unix:path={path}"
    base = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    command = ["dbus-daemon", "--session", "--nofork", f"--address={address}"]
    if anybody:
        config = folder / "bus.conf"
        config.write_text(OPEN_BUS.format(address=address))
        command = ["dbus-daemon", f"--config-file={config}", "--nofork"]
    with process(command, environment or base, folder / "dbus-daemon.log"):
        wait_until(lambda: listens(path), "the session bus to listen")
        yield address


def listens(path: Path) -> bool:
    """Whether somebody takes connections: the socket's file is there a moment earlier."""
    with socket.socket(socket.AF_UNIX) as trying:
        return trying.connect_ex(str(path)) == 0


@contextmanager
def display(folder: Path, screen: tuple[int, int] = SCREEN) -> Iterator[str]:
    """Run an X server on a display number of its own choice; yield the DISPLAY."""
    reading, writing = os.pipe()
    size = f"{screen[0]}x{screen[1]}x24"
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", size, "-nolisten", "tcp", "-noreset"]
    with process(command, {"PATH": os.environ["PATH"]}, folder / "xvfb.log", pass_fds=[writing]):
        os.close(writing)
        with os.fdopen(reading) as answer:
            yield f":{answer.readline().strip()}"
