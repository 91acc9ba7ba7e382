"""
Terminating a process that a person chose, by its PID and identity, as in model.GpuProcess.

The PID may be another process's by the time of the click, so the identity is checked again. On Linux the
signal goes to a descriptor that was opened before the check and can mean no other process; elsewhere (and on
a Linux before 5.3) a few microseconds remain between the check and the signal.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
from contextlib import ExitStack
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import N_
from gpuwatch_tray.model import known
from gpuwatch_tray.sources.processes import (
    ProcessInspector,
    has_driver_open,
    is_alive,
    own_ancestry,
    sees_host_pids,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.sources.processes import ProcessFacts


log = logging.getLogger(__name__)

WITHOUT_DESCRIPTORS = (errno.ENOSYS, errno.EPERM)  # a kernel before 5.3, a sandbox that forbids the call
PATIENCE = 10.0  # seconds that a process has to end after SIGTERM before killing it is offered


class TerminationResult(Enum):
    """The result of an attempt to terminate a process."""

    SIGNALLED = N_("asked to end")
    KILLED = N_("killed")
    ENDED_ALREADY = N_("had already ended")
    NOT_MINE = N_("refused: it is not your process")
    ANOTHER = N_("refused: the PID now belongs to another process")
    OUTSIDE = N_("refused: in this container the PID belongs to a process without a GPU")
    PROTECTED = N_("refused: it is this program or one that it runs under")
    REFUSED = N_("refused by the system")

    @property
    def sent(self) -> bool:
        """Whether a signal went out."""
        return self in {TerminationResult.SIGNALLED, TerminationResult.KILLED}


class ProcessTarget(NamedTuple):
    """Which process is meant; as text `PID:IDENTITY`, in the menu's rows and the popups' keys."""

    pid: int
    identity: str

    def __str__(self) -> str:
        return f"{self.pid}:{self.identity}"

    @classmethod
    def parse(cls, text: str) -> ProcessTarget:
        """Read the target from `PID:IDENTITY`; raises ValueError for anything else."""
        pid, _, identity = text.partition(":")
        if not pid.isdecimal() or not identity:
            raise ValueError(f"not a process: {text!r}")
        return cls(int(pid), identity)


def terminate(pid: int, identity: str, *, kill: bool = False) -> TerminationResult:
    """Send one's own process SIGTERM, or SIGKILL to `kill` it, if it still has that identity."""
    if pid <= 1 or pid in own_ancestry():
        return _logged(pid, "", TerminationResult.PROTECTED)
    name = ""
    try:
        with ExitStack() as stack:
            send = _sender(pid, stack)  # first, so that it means the process that is checked
            facts = ProcessInspector().inspect(pid)
            name = redact.process_name(known(facts.name) or "")
            result = _refusal(facts, identity)
            if result is None:
                send(_signal_number(kill=kill))
                result = TerminationResult.KILLED if kill else TerminationResult.SIGNALLED
    except ProcessLookupError:
        result = TerminationResult.ENDED_ALREADY
    except OSError as error:
        return _logged(pid, name, TerminationResult.REFUSED, error)
    return _logged(pid, name, result)


class PendingTerminations:
    """The processes that were told to end, and since when, on any steady clock; safe from any thread."""

    def __init__(self) -> None:
        self._since: dict[ProcessTarget, float] = {}
        self._lock = threading.Lock()

    def add(self, pid: int, identity: str, now: float, *, kill: bool = False) -> None:
        """Note that the process was told to end; telling it again gives it no more time, killing it does."""
        with self._lock:
            target = ProcessTarget(pid, identity)
            self._since[target] = now if kill else self._since.get(target, now)

    def unresponsive(
        self, now: float, alive: Callable[[int, str], bool | None] = is_alive
    ) -> tuple[ProcessTarget, ...]:
        """Return those that still run `PATIENCE` seconds after the signal; forget those that ended."""
        with self._lock:
            pending = dict(self._since)
        ended = {target for target in pending if not alive(*target)}
        with self._lock:
            for target in ended:
                self._since.pop(target, None)
        return tuple(
            sorted(
                target for target, since in pending.items() if target not in ended and now - since >= PATIENCE
            )
        )

    def pending(self) -> bool:
        """Tell whether any of them has not been seen to end."""
        with self._lock:
            return bool(self._since)


def _refusal(facts: ProcessFacts, identity: str) -> TerminationResult | None:
    """Return why the process must not be signalled; None if it may be."""
    if facts.ended:
        return TerminationResult.ENDED_ALREADY
    if not identity or facts.identity != identity:
        return TerminationResult.ANOTHER
    if not facts.mine:
        return TerminationResult.NOT_MINE
    # In a container the driver may mean the process of that PID outside of it.
    return None if sees_host_pids() or has_driver_open(facts.pid) else TerminationResult.OUTSIDE


def _sender(pid: int, stack: ExitStack) -> Callable[[int], None]:
    """Return a function that sends a signal to the process that has this PID now; raises OSError."""
    # Not on every system, nor in every Python for Linux: that depends on the headers it was built with.
    opens: Callable[[int], int] | None = getattr(os, "pidfd_open", None)
    sends: Callable[[int, int], None] | None = getattr(signal, "pidfd_send_signal", None)
    if opens is not None and sends is not None:
        try:
            opened = opens(pid)
        except OSError as error:
            if error.errno not in WITHOUT_DESCRIPTORS:
                raise
        else:
            stack.callback(os.close, opened)
            return lambda number: sends(opened, number)
    return lambda number: os.kill(pid, number)


def _signal_number(*, kill: bool) -> int:
    number = signal.SIGTERM  # on Windows os.kill calls TerminateProcess for it
    if sys.platform != "win32" and kill:
        number = signal.SIGKILL
    return number


def _logged(
    pid: int, name: str, result: TerminationResult, error: OSError | None = None
) -> TerminationResult:
    called = f"PID {pid} ({name})" if name else f"PID {pid}"
    why = f": {error.strerror or error}" if error is not None else ""
    log.info("end process: %s: %s%s", called, result.value, why)
    return result
