"""One tray a session, by a well-known name on the session bus."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

from gpuwatch_tray.bus import DAEMON, DBusCallError

if TYPE_CHECKING:
    from gpuwatch_tray.bus import SessionBus

log = logging.getLogger(__name__)

BUS_NAME = "io.github.gpuwatch_tray"
DO_NOT_QUEUE = 4
PRIMARY_OWNER, ALREADY_OWNER = 1, 4


def bus_name_for(source_id: str = "") -> str:
    """Return the bus name for a source, such as `demo`; "" stands for this machine's own GPUs."""
    if not source_id:
        return BUS_NAME
    return f"{BUS_NAME}.s{hashlib.sha256(source_id.encode(errors='surrogateescape')).hexdigest()[:8]}"


def claim_name(bus: SessionBus, name: str) -> int | None:
    """
    Claim the bus name; return None when it is ours, else its owner's PID (0 where the bus does not say).

    The lock keeps two processes from one state; the name also keeps two trays of a session from one source
    with different state folders. Call it before the bus's loop runs, on the thread that connected. A bus
    that does not answer costs the name only.
    """
    try:
        return bus.loop.run_until_complete(_request_name(bus, name))
    except DBusCallError as error:
        log.warning("the name %s could not be taken: %s", name, error)
        return None


async def _request_name(bus: SessionBus, name: str) -> int | None:
    (answer,) = await bus.call_async(DAEMON, "RequestName", "su", [name, DO_NOT_QUEUE])
    if answer in {PRIMARY_OWNER, ALREADY_OWNER}:
        return None
    try:
        (pid,) = await bus.call_async(DAEMON, "GetConnectionUnixProcessID", "s", [name])
    except DBusCallError:
        return 0
    return int(pid)
