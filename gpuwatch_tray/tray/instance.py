"""
One tray a session: a well-known name on the session bus.

The lock keeps two from one state; the name also two that watch the same with their states in different
folders. Different machines and a demo may be watched side by side, each under a name of its own.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

from gpuwatch_tray.bus import DAEMON, CallFailed

if TYPE_CHECKING:
    from gpuwatch_tray.bus import SessionBus

log = logging.getLogger(__name__)

NAME = "io.github.gpuwatch_tray"
DO_NOT_QUEUE = 4
OWNER, OWNER_ALREADY = 1, 4


def name_for(watched: str = "") -> str:
    """The bus name of what is watched, such as `demo`; of this machine's own GPUs without a word."""
    if not watched:
        return NAME
    return f"{NAME}.s{hashlib.sha256(watched.encode(errors='surrogateescape')).hexdigest()[:8]}"


def claim(bus: SessionBus, name: str) -> int | None:
    """
    Take the name; None when it is ours, else the PID of who has it (0 where the bus does not say).

    Only before the bus's loop runs, on the thread that connected. A bus that does not answer has no other
    tray to speak of, and costs the name only.
    """
    try:
        return bus.loop.run_until_complete(_claim(bus, name))
    except CallFailed as error:
        log.warning("the name %s could not be taken: %s", name, error)
        return None


async def _claim(bus: SessionBus, name: str) -> int | None:
    (answer,) = await bus.ask(DAEMON, "RequestName", "su", [name, DO_NOT_QUEUE])
    if answer in {OWNER, OWNER_ALREADY}:
        return None
    try:
        (pid,) = await bus.ask(DAEMON, "GetConnectionUnixProcessID", "s", [name])
    except CallFailed:
        return 0
    return int(pid)
