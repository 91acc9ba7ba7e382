"""
The Xid errors that the driver reports, heard on a thread of their own.

The thread waits in short pieces, so that it ends soon when it is told to, and keeps no process from ending.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from gpuwatch_tray.enduring import run_forever
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Xid
from gpuwatch_tray.sources.nvml.backoff import Backoff
from gpuwatch_tray.sources.nvml.codes import DriverError
from gpuwatch_tray.within import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.sources.nvml.api import Handle
    from gpuwatch_tray.sources.nvml.binding import Driver

WAIT = 0.4  # seconds of one wait
_SLACK = 0.2  # seconds beyond, in which a wait that is over comes back
_FIRST, _MOST = 1.0, 60.0  # seconds of back-off from a wait that fails at once
_BOUND = 64  # events between two readings; of a storm the last ones, and one of each GPU and code


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
        self._queue: list[Xid] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._gpus: frozenset[str] = frozenset()

    def take(self) -> tuple[Xid, ...]:
        """What was heard since."""
        with self._lock:
            taken, self._queue = tuple(self._queue), []
        return taken

    def hear(self, driver: Driver, handles: Mapping[str, Handle]) -> None:
        """Listen to these GPUs, by UUID; nothing is done where that is so already."""
        gpus = frozenset(handles)
        if gpus == self._gpus or not self.end():
            return
        self._gpus = gpus
        if gpus:
            self._stop = threading.Event()
            listen = partial(self.listen, driver, dict(handles), self._stop)
            self._thread = start_thread("nvml events", run_forever, "Xid errors", listen, self._stop)

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
        pause = 0.0
        while not stop.is_set():
            try:
                events = driver.create_events()
            except DriverError as error:
                self.trouble = _trouble(error)
                if error.unsupported:
                    return
                pause = _longer(pause)
                stop.wait(pause)
                continue
            try:
                self._listen(driver, events, handles, stop)
            finally:
                with contextlib.suppress(DriverError):  # it went with the session
                    driver.free_events(events)
            return

    def _listen(self, driver: Driver, events: Any, handles: Mapping[str, Handle], stop: Stop) -> None:
        heard: dict[int, str] = {}
        missed = self._register(driver, events, handles, heard)
        again, pause = Backoff(_FIRST, _MOST), 0.0
        while not stop.is_set():
            left = {uuid: handles[uuid] for uuid, error in missed.items() if not error.unsupported}
            if not heard and not left:
                return
            if left and again.due(time.monotonic()):
                missed = {uuid: error for uuid, error in missed.items() if error.unsupported}
                missed |= self._register(driver, events, left, heard)
                again.miss(time.monotonic())
            if not heard:
                stop.wait(self._wait)
                continue
            try:
                found = driver.wait(events, self._wait)
            except DriverError as error:
                self.trouble = _trouble(error)
                if error.unsupported:
                    return
                pause = _longer(pause)
                stop.wait(pause)  # a wait that fails does so at once
                continue
            pause = 0.0
            self.trouble = next(map(_trouble, missed.values()), "")
            if found is not None:
                self._note(found, heard)
        self._drain(driver, events, heard)

    def _register(
        self, driver: Driver, events: Any, handles: Mapping[str, Handle], heard: dict[int, str]
    ) -> dict[str, DriverError]:
        """Add to the GPUs that are `heard` (UUIDs by the handle's address); why the others are not."""
        missed: dict[str, DriverError] = {}
        for uuid, handle in handles.items():
            try:
                driver.register(handle, events)
            except DriverError as error:
                missed[uuid] = error.with_traceback(None)
            else:
                heard[handle.address] = uuid
        self.trouble = next(map(_trouble, missed.values()), "")
        return missed

    def _drain(self, driver: Driver, events: Any, heard: Mapping[int, str]) -> None:
        """What the set holds already would go with it: the GPU that falls off the bus ends this very set."""
        with contextlib.suppress(DriverError):
            for _event in range(_BOUND):
                found = driver.wait(events, 0)
                if found is None:
                    return
                self._note(found, heard)

    def _note(self, found: tuple[int, int], heard: Mapping[int, str]) -> None:
        """Keep it; where there are too many, one goes of which another tells, so that no code is lost."""
        address, code = found
        xid = Xid(heard.get(address, ""), code, self._clock())
        with self._lock:
            self._queue.append(xid)
            if len(self._queue) > _BOUND:
                told = Counter((each.uuid, each.code) for each in self._queue)
                repeated = (each for each in self._queue if told[each.uuid, each.code] > 1)
                self._queue.remove(next(repeated, self._queue[0]))


def _longer(pause: float) -> float:
    return min(max(2 * pause, _FIRST), _MOST)


def _trouble(error: DriverError) -> str:
    if error.unsupported:
        return _("this driver or GPU reports no Xid errors")
    text = _("Xid errors cannot be heard: {why} (NVML {code})")
    return text.format(why=error.text, code=error.code)
