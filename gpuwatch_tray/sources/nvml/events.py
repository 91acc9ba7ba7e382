"""
The Xid errors that the driver reports, heard on a thread of their own.

The thread waits in short pieces, so that it ends soon when it is told to, and keeps no process from ending.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from gpuwatch_tray.enduring import endure
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Xid
from gpuwatch_tray.sources.nvml.codes import DriverError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.sources.nvml.api import Handle
    from gpuwatch_tray.sources.nvml.binding import Driver

WAIT = 0.4  # seconds of one wait
_SLACK = 0.2  # seconds beyond, in which a wait that is over comes back
_FIRST, _MOST = 1.0, 60.0  # seconds of back-off from a wait that fails at once
_BOUND = 64  # events between two readings; of a storm the last ones count


class Stop(Protocol):
    """What the thread needs of threading.Event."""

    def is_set(self) -> bool:
        """Whether it shall end."""

    def wait(self, timeout: float) -> bool:
        """Wait, at most that long, for the word to end, and tell whether it came."""


class Events:
    """
    The events of one session after another; `take` has those since it was last called.

    `clock` gives wall time, `wait` is in seconds. `trouble` says why nothing can be heard, where that is so.
    """

    def __init__(self, clock: Callable[[], float], wait: float = WAIT) -> None:
        self.trouble = ""
        self._clock = clock
        self._wait = wait
        self._queue: deque[Xid] = deque(maxlen=_BOUND)
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._gpus: frozenset[str] = frozenset()

    def take(self) -> tuple[Xid, ...]:
        """What was heard since."""
        taken = []
        while self._queue:
            taken.append(self._queue.popleft())
        return tuple(taken)

    def hear(self, driver: Driver, handles: Mapping[str, Handle]) -> None:
        """Listen to these GPUs, by UUID; nothing is done where that is so already."""
        gpus = frozenset(handles)
        if gpus == self._gpus or not self.end():
            return
        self._gpus = gpus
        if gpus:
            self._stop = threading.Event()
            listen = partial(self.listen, driver, dict(handles), self._stop)
            self._thread = threading.Thread(
                target=endure, args=("Xid errors", listen, self._stop), name="nvml events", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Have the thread end soon."""
        self._stop.set()

    def end(self) -> bool:
        """Listen no more. False where the thread is stuck in the driver: that must not be shut down then."""
        self.stop()
        thread = self._thread
        if thread is not None:
            thread.join(self._wait + _SLACK)
            if thread.is_alive():
                return False
        self._thread = None
        self._gpus = frozenset()
        return True

    def listen(self, driver: Driver, handles: Mapping[str, Handle], stop: Stop) -> None:
        """Listen until `stop`, or until it is clear that nothing will be heard."""
        try:
            events = driver.create_events()
        except DriverError as error:
            self.trouble = _trouble(error)
            return
        try:
            registered = self._register(driver, handles, events)
            if registered:
                self._listen(driver, events, registered, stop)
        finally:
            with contextlib.suppress(DriverError):  # it went with the session
                driver.free_events(events)

    def _register(self, driver: Driver, handles: Mapping[str, Handle], events: Any) -> dict[int, str]:
        registered: dict[int, str] = {}
        trouble = ""
        for uuid, handle in handles.items():
            try:
                driver.register(handle, events)
            except DriverError as error:
                trouble = trouble or _trouble(error)
            else:
                registered[handle.address] = uuid
        self.trouble = trouble
        return registered

    def _listen(self, driver: Driver, events: Any, uuids: Mapping[int, str], stop: Stop) -> None:
        pause = 0.0
        while not stop.is_set():
            try:
                found = driver.wait(events, self._wait)
            except DriverError as error:
                self.trouble = _trouble(error)
                if error.unsupported:
                    return
                pause = min(max(2 * pause, _FIRST), _MOST)
                stop.wait(pause)  # a wait that fails does so at once
                continue
            if pause:
                self.trouble, pause = "", 0.0
            if found is not None:
                address, code = found
                self._queue.append(Xid(uuids.get(address, ""), code, self._clock()))


def _trouble(error: DriverError) -> str:
    if error.unsupported:
        return _("this driver or GPU reports no Xid errors")
    text = _("Xid errors cannot be heard: {why} (NVML {code})")
    return text.format(why=error.text, code=error.code)
