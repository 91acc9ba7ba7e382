"""
Ending a process that a person chose by what it was: its PID and its identity, as in model.GpuProcess.

The PID may belong to another one by the time of the click, so the identity is checked again. On Linux the
signal goes to a descriptor of the process that was opened before the check and can mean no other; elsewhere
(and on a Linux before 5.3) a few microseconds remain between the check and the signal.
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

from gpuwatch_tray import redact
from gpuwatch_tray.language import N_
from gpuwatch_tray.model import known
from gpuwatch_tray.sources.births import holds_the_driver, sees_every_pid
from gpuwatch_tray.sources.facts import GONE, ZOMBIE
from gpuwatch_tray.sources.processes import Inspector, kin

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.sources.facts import Facts

log = logging.getLogger(__name__)

WITHOUT_DESCRIPTORS = (errno.ENOSYS, errno.EPERM)  # a kernel before 5.3, a sandbox that forbids the call
PATIENCE = 10.0  # seconds that a process has for ending by itself before killing it is offered


class Ending(Enum):
    """What became of the wish to end a process."""

    SIGNALLED = N_("asked to end")
    KILLED = N_("killed")
    ENDED_ALREADY = N_("had ended already")
    NOT_MINE = N_("refused: it is not your process")
    ANOTHER = N_("refused: another process has the number now")
    OUTSIDE = N_("refused: in this container the number is that of a process without a GPU")
    PROTECTED = N_("refused: it is this program or one that it runs under")
    REFUSED = N_("refused by the system")

    @property
    def sent(self) -> bool:
        """Whether a signal went out."""
        return self in {Ending.SIGNALLED, Ending.KILLED}


class Target(NamedTuple):
    """Which process is meant; as text `PID:IDENTITY`, as the menu's rows and the popups' keys carry it."""

    pid: int
    identity: str

    def __str__(self) -> str:
        return f"{self.pid}:{self.identity}"

    @classmethod
    def read(cls, text: str) -> Target:
        """The target that was written as `text`; raises ValueError for anything else."""
        pid, _, identity = text.partition(":")
        if not pid.isdecimal() or not identity:
            raise ValueError(f"not a process: {text!r}")
        return cls(int(pid), identity)


def end(pid: int, identity: str, *, kill: bool = False) -> Ending:
    """
    Ask one's own process to end (SIGTERM), or `kill` it, if it is still the one of that identity.

    On Windows there is no asking: it ends at once. Never raises for a state of the process; logs what was
    done, and to which program.
    """
    if pid <= 1 or pid in kin():
        return _noted(pid, "", Ending.PROTECTED)
    with ExitStack() as stack:
        try:
            send = _sender(pid, stack)  # first, so that it means the process that is checked
        except ProcessLookupError:
            return _noted(pid, "", Ending.ENDED_ALREADY)
        except OSError as error:
            return _noted(pid, "", Ending.REFUSED, error)
        facts = _facts(pid)
        name = redact.called(known(facts.name) or "")
        found = _checked(facts, identity)
        if found is not None:
            return _noted(pid, name, found)
        try:
            send(_number(kill=kill))
        except ProcessLookupError:
            return _noted(pid, name, Ending.ENDED_ALREADY)
        except OSError as error:
            return _noted(pid, name, Ending.REFUSED, error)
    return _noted(pid, name, Ending.KILLED if kill else Ending.SIGNALLED)


def alive(pid: int, identity: str) -> bool:
    """Whether this very process still runs; one that has ended and is not yet fetched does not."""
    facts = _facts(pid)
    return facts.identity == identity and not _over(facts)


class Endings:
    """
    The processes that were asked to end, and since when, on any clock that only goes forward.

    Safe from any thread: a click asks, and somebody else looks now and then.
    """

    def __init__(self) -> None:
        self._asked: dict[Target, float] = {}
        self._lock = threading.Lock()

    def asked(self, pid: int, identity: str, now: float, *, kill: bool = False) -> None:
        """It was asked to end; asking again gives it no more time, killing does."""
        with self._lock:
            target = Target(pid, identity)
            self._asked[target] = now if kill else self._asked.get(target, now)

    def unresponsive(self, now: float, alive: Callable[[int, str], bool] = alive) -> tuple[Target, ...]:
        """Those that still run `PATIENCE` seconds after they were asked; the others are forgotten in time."""
        with self._lock:
            asked = dict(self._asked)
        ended = {target for target in asked if not alive(*target)}
        with self._lock:
            for target in ended:
                self._asked.pop(target, None)
        return tuple(
            sorted(
                target for target, since in asked.items() if target not in ended and now - since >= PATIENCE
            )
        )

    def waiting(self) -> bool:
        """Whether there is anything to look after."""
        with self._lock:
            return bool(self._asked)


def _facts(pid: int) -> Facts:
    return Inspector().look(pid)


def _over(facts: Facts) -> bool:
    return ZOMBIE in (facts.command, facts.name) or GONE in (facts.user, facts.command, facts.name)


def _checked(facts: Facts, identity: str) -> Ending | None:
    """Why this one is not to be ended; None if it is."""
    if _over(facts):
        return Ending.ENDED_ALREADY
    if not identity or facts.identity != identity:
        return Ending.ANOTHER
    if not facts.mine:
        return Ending.NOT_MINE
    # In a container the driver may mean the process of that number outside of it.
    return None if sees_every_pid() or holds_the_driver(facts.pid) else Ending.OUTSIDE


def _sender(pid: int, stack: ExitStack) -> Callable[[int], None]:
    """What sends a signal to the process that has this PID now; raises OSError."""
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


def _number(*, kill: bool) -> int:
    if sys.platform == "win32":
        return signal.SIGTERM  # which os.kill takes there for TerminateProcess
    else:  # noqa: RET505
        return signal.SIGKILL if kill else signal.SIGTERM


def _noted(pid: int, name: str, found: Ending, error: OSError | None = None) -> Ending:
    called = f"PID {pid} ({name})" if name else f"PID {pid}"
    why = f": {error.strerror or error}" if error is not None else ""
    log.info("end process: %s: %s%s", called, found.value, why)
    return found
