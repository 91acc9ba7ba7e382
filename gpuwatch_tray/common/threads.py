"""Threads: one that repeats its work, one that begins again after errors, and calls with a time limit."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


log = logging.getLogger(__name__)


class PeriodicThread:
    """
    Calls `work` every `interval` seconds on a daemon thread, first after `delay`; logs its errors.

    The ticks do not drift: slow work shortens the wait after it, and ticks that were missed are left out.
    Where `work` returns a number, the next tick comes so many seconds later instead: who has nothing to do
    need not wake to find that out.
    """

    def __init__(
        self,
        work: Callable[[], float | None],
        interval: float,
        name: str,
        *,
        delay: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work = work
        self._interval = interval
        self._delay = delay
        self._clock = clock
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._last_success = clock()
        self._last_error = ""
        # A daemon: a driver call that never returns must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._last_success = self._clock()
        self._thread.start()

    def run_now(self) -> None:
        """Have the next tick come at once; the later ones count from it."""
        self._wake.set()

    def reconfigure(self, interval: float) -> None:
        """Tick every `interval` seconds from now on, and once at once."""
        self._interval = interval
        self.run_now()

    def stop(self, timeout: float) -> bool:
        """End the thread; False when it is stuck in a call and did not end within `timeout` seconds."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def seconds_since_success(self) -> float:
        """Return the seconds since `work` last returned without an error, or since the start."""
        return self._clock() - self._last_success

    def tick(self) -> float | None:
        """Call `work` once, and return what it does; its errors end here, in the log."""
        rest = None
        try:
            rest = self._work()
            self._last_success = self._clock()
        except Exception as error:
            if repr(error) != self._last_error:  # the same error again would only fill the log
                log.exception("%s: failed; tried again in %g s", self._thread.name, self._interval)
            self._last_error = repr(error)
        else:
            self._last_error = ""
        return rest

    def _run(self) -> None:
        due = self._clock() + self._delay
        if self._delay:
            self._wake.wait(self._delay)
        while True:
            self._wake.clear()
            if self._stopping.is_set():  # checked after the clearing, so that no stop is lost
                return
            due = min(due, self._clock())  # woken early: the ticks count from here
            rest = self.tick()
            now = self._clock()
            due = max(due + self._interval, now) if rest is None else now + rest
            self._wake.wait(due - now)


FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds of back-off
STEADY = 300.0  # seconds of work after which an error counts as the first again


class StopSignal(Protocol):
    """The part of `threading.Event` that `run_forever` needs."""

    def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds; return whether the thread shall end."""


def run_forever(name: str, work: Callable[[], None], stop: StopSignal) -> None:
    """Call `work` until it returns, soon once `stop` is set; after an error, wait and call again."""
    pause = FIRST_PAUSE
    while True:
        began = time.monotonic()
        try:
            work()
        except Exception:
            if time.monotonic() - began >= STEADY:
                pause = FIRST_PAUSE
            log.exception("%s: failed; it begins again in %g s", name, pause)
        else:
            return
        if stop.wait(pause):
            return
        pause = min(2 * pause, LONGEST_PAUSE)


T = TypeVar("T")


def start_thread(name: str, run: Callable[..., object], *args: object) -> threading.Thread:
    """Start a daemon thread that calls `run`: one that hangs does not keep the program from ending."""
    thread = threading.Thread(target=run, args=args, name=name, daemon=True)
    thread.start()
    return thread


def call_with_timeout(seconds: float, call: Callable[[], T], name: str) -> T:
    """Return or raise what `call` does, on a thread of this name; raise TimeoutError after `seconds`."""
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(call())
        except BaseException as error:  # noqa: BLE001  # raised in the caller's thread
            errors.append(error)

    start_thread(name, run).join(max(seconds, 0.0))
    if errors:
        raise errors.pop()  # held by nothing here: its frames hold this one
    if not answers:
        raise TimeoutError
    return answers[0]
