"""A session's two buses as a whole desktop wants them: only the services that are named may be started."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.programs import listens, process
from tests.support.timing import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INSTALLED = Path("/usr/share/dbus-1/services")
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{services}</servicedir>
  <policy context="default">
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


@contextmanager
def bus(
    runtime: Path, folder: Path, environment: dict[str, str], kind: str, services: Sequence[str] = ()
) -> Iterator[str]:
    """
    A bus of this `kind`, `session` or `system`, which starts `services` and no others; yields its address.

    What else this machine has installed cannot take the names of the desktop under test. A service that is
    not installed is left out: each release of a desktop has its own.
    """
    files = folder / f"{kind}-services"
    files.mkdir()
    for name in services:
        with suppress(FileNotFoundError):
            lines = (INSTALLED / f"{name}.service").read_text().splitlines(keepends=True)
            # without systemd the bus starts it by itself
            kept = [line for line in lines if not line.startswith("SystemdService")]
            (files / f"{name}.service").write_text("".join(kept))
    socket = runtime / f"bus-{kind}"
    address = f"unix:path={socket}"
    config = folder / f"{kind}-bus.conf"
    config.write_text(CONFIG.format(address=address, services=files))
    command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"]
    with process(command, environment, folder / f"{kind}-bus.log"):
        wait_until(lambda: listens(socket), f"the {kind} bus to listen")
        yield address


def members(runtime: Path) -> list[int]:
    """The processes of the session with this XDG_RUNTIME_DIR, whoever started them."""
    mark = f"XDG_RUNTIME_DIR={runtime}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
    return found


def end_members(runtime: Path, patience: float = 3.0) -> None:
    """End what is left of a session: a bus does not end the services that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + patience
        for pid in members(runtime):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while members(runtime):
            if time.monotonic() > until:
                break
            time.sleep(0.05)
