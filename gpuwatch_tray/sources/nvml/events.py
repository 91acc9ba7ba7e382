"""The Xid errors that the driver reports, received on a thread of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from gpuwatch_tray.common.threads import StopSignal, run_forever, start_thread
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Xid
from gpuwatch_tray.sources.nvml.api import DriverError
from gpuwatch_tray.sources.nvml.query import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.sources.nvml.api import Driver, Handle


WAIT = 2.5  # seconds of one wait: each return costs a wakeup, and a new session waits for it
_SLACK = 0.2  # seconds more, in which a wait that is over returns
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds of back-off from a wait that fails at once
_MAX_EVENTS = 64  # between two readings; of a storm the last ones, and one of each GPU and code


class StopEvent(StopSignal, Protocol):
    """The part of `threading.Event` that the thread needs."""

    def is_set(self) -> bool:
        """Tell whether the thread shall end."""


class XidListener:
    """Receives the Xid errors on a thread of its own; `trouble` says why nothing can be received."""

    def __init__(self, clock: Callable[[], float], wait: float = WAIT) -> None:
        self.trouble = ""
        self._clock = clock
        self._wait = wait
        self._queue: list[Xid] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._listening = False
        self._after: Callable[[], None] | None = None  # the thread's last act
        self._gpus: frozenset[str] = frozenset()

    def drain(self) -> tuple[Xid, ...]:
        """Return what was received since the last call."""
        with self._lock:
            received, self._queue = tuple(self._queue), []
        return received

    def listen_to(self, driver: Driver, handles: Mapping[str, Handle]) -> None:
        """Listen to these GPUs, by UUID; do nothing where that is so already."""
        gpus = frozenset(handles)
        if gpus == self._gpus or not self.stop():
            return
        self._gpus = gpus
        if gpus:
            self._stop, self._listening = threading.Event(), True
            listen = partial(self.listen, driver, dict(handles), self._stop)
            self._thread = start_thread("nvml events", self._run, listen, self._stop)

    def request_stop(self) -> None:
        """Have the thread end soon."""
        self._stop.set()

    def stop(self) -> bool:
        """End the thread; False where it is stuck in the driver, which must not be shut down then."""
        self.request_stop()
        thread = self._thread
        if thread is not None:
            thread.join(self._wait + _SLACK)
            if thread.is_alive():
                return False
        self._thread = None
        self._gpus = frozenset()
        return True

    def end(self, then: Callable[[], None]) -> None:
        """End the thread for good, and call `then` after it: at once where that is soon, else on it."""
        self.request_stop()
        if self._thread is not None:
            self._thread.join(_SLACK)
        with self._lock:
            waiting = self._listening
            self._after = then if waiting else None
        if not waiting:
            then()

    def _run(self, listen: Callable[[], None], stop: StopEvent) -> None:
        run_forever("Xid errors", listen, stop)
        with self._lock:
            self._listening, after = False, self._after
        if after is not None:
            after()

    def listen(self, driver: Driver, handles: Mapping[str, Handle], stop: StopEvent) -> None:
        """Listen until `stop`, or until it is clear that nothing will be received."""
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

    def _listen(self, driver: Driver, events: Any, handles: Mapping[str, Handle], stop: StopEvent) -> None:
        registered: dict[int, str] = {}
        missed = self._register(driver, events, handles, registered)
        again, pause = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE), 0.0
        while not stop.is_set():
            left = {uuid: handles[uuid] for uuid, error in missed.items() if not error.unsupported}
            if not registered and not left:
                return
            if left and again.due(time.monotonic()):
                missed = {uuid: error for uuid, error in missed.items() if error.unsupported}
                missed |= self._register(driver, events, left, registered)
                again.failed(time.monotonic())
            if not registered:
                stop.wait(self._wait)
                continue
            try:
                event = driver.wait(events, self._wait)
            except DriverError as error:
                self.trouble = _trouble(error)
                if error.unsupported:
                    return
                pause = _longer(pause)
                stop.wait(pause)  # a wait that fails does so at once
                continue
            pause = 0.0
            self.trouble = next(map(_trouble, missed.values()), "")
            if event is not None:
                self._queue_event(event, registered)
        self._drain(driver, events, registered)

    def _register(
        self, driver: Driver, events: Any, handles: Mapping[str, Handle], registered: dict[int, str]
    ) -> dict[str, DriverError]:
        """Register GPUs: add them to `registered` (UUID by handle address), return why others failed."""
        missed: dict[str, DriverError] = {}
        for uuid, handle in handles.items():
            try:
                driver.register(handle, events)
            except DriverError as error:
                missed[uuid] = error.without_frames()
            else:
                registered[handle.address] = uuid
        self.trouble = next(map(_trouble, missed.values()), "")
        return missed

    def _drain(self, driver: Driver, events: Any, registered: Mapping[int, str]) -> None:
        """Read what the event set holds before it is freed: a GPU that falls off the bus ends its session."""
        with contextlib.suppress(DriverError):
            for _event in range(_MAX_EVENTS):
                event = driver.wait(events, 0)
                if event is None:
                    return
                self._queue_event(event, registered)

    def _queue_event(self, event: tuple[int, int], registered: Mapping[int, str]) -> None:
        """Queue an event; where there are too many, drop one whose GPU and code another one has."""
        address, code = event
        xid = Xid(registered.get(address, ""), code, self._clock())
        with self._lock:
            self._queue.append(xid)
            if len(self._queue) > _MAX_EVENTS:
                counts = Counter((xid.uuid, xid.code) for xid in self._queue)
                repeated = (xid for xid in self._queue if counts[xid.uuid, xid.code] > 1)
                self._queue.remove(next(repeated, self._queue[0]))


def _longer(pause: float) -> float:
    return min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)


def _trouble(error: DriverError) -> str:
    if error.unsupported:
        return _("this driver or GPU reports no Xid errors")
    text = _("Xid errors cannot be received: {why} (NVML {code})")
    return text.format(why=error.text, code=error.code)
