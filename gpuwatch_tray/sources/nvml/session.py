"""
The session with the driver: begun once, kept from read to read, and renewed when it breaks.

Initialising at each poll would cost more than everything else. After a resume from suspend, or while the
driver is replaced, every call fails until NVML is shut down and initialised again.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gpuwatch_tray.sources.nvml.binding import Code, Driver, DriverError
from gpuwatch_tray.sources.nvml.inventory import Inventory
from gpuwatch_tray.sources.nvml.problems import LOST, SESSION
from gpuwatch_tray.sources.nvml.reading import Reading, read_gpu

if TYPE_CHECKING:
    from collections.abc import Callable


class Backoff:
    """When to try again: at once, then after `first` seconds, then twice as long each time up to `most`."""

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._next = float("-inf")
        self._wait = 0.0

    def due(self, now: float) -> bool:
        """Whether it is time to try."""
        return now >= self._next

    def miss(self, now: float) -> None:
        """A try failed."""
        self._next = now + self._wait
        self._wait = min(max(2 * self._wait, self._first), self._most)

    def reset(self) -> None:
        """A try did not fail."""
        self._next, self._wait = float("-inf"), 0.0


class Session:
    """
    Readings of all GPUs. `steady` is the time that the back-offs go by.

    `library` is the version of NVML, learnt when it does not fit the kernel's module.
    """

    def __init__(self, steady: Callable[[], float]) -> None:
        self.library = ""
        self._steady = steady
        self._driver: Driver | None = None
        self._inventory = Inventory()
        self._failure: DriverError | None = None  # why there is no session
        self._beginning = Backoff(first=2, most=30)
        self._renewal = Backoff(first=5, most=600)  # it may take seconds, and a lost GPU seldom comes back

    def readings(self) -> list[Reading]:
        """
        Read each GPU seen since the start.

        Raises DriverError where nothing can be read; until it is time to try again, as the last try did.
        """
        last = self._failure
        if last is not None and not self._beginning.due(self._steady()):
            raise DriverError(last.code, last.text)  # a new one: each raise would lengthen its traceback
        try:
            readings = self._current()
        except DriverError as error:
            self._failure = DriverError(error.code, error.text)
            self._beginning.miss(self._steady())
            self.end()
            raise
        self._failure = None
        self._beginning.reset()
        return readings

    def _current(self) -> list[Reading]:
        """The readings; where a new session may mend what fails, those of a new one."""
        renewable = not self._begin() and self._renewal.due(self._steady())
        try:
            readings = self._each_gpu()
            broken = any(_is_broken(reading) for reading in readings)
        except DriverError:
            if not renewable:
                raise
            readings, broken = [], True
        if not broken:
            self._renewal.reset()
        elif renewable:
            self._renewal.miss(self._steady())
            self.end()
            self._begin()
            readings = self._each_gpu()
        return readings

    def _each_gpu(self) -> list[Reading]:
        if self._driver is None:
            raise ValueError("the session has not begun")
        self._inventory.refresh(self._driver)
        # By index as nvidia-smi lists them; after a loss one may have taken over another's index.
        return [
            read_gpu(self._driver, seen) for seen in sorted(self._inventory.gpus, key=lambda it: it.index)
        ]

    def _begin(self) -> bool:
        """Initialise NVML if need be, and tell whether."""
        if self._driver is not None:
            return False
        driver = Driver()
        try:
            driver.open()
        except DriverError as error:
            if error.code == Code.LIB_RM_VERSION_MISMATCH:
                with contextlib.suppress(DriverError):
                    self.library = driver.library_version()
            raise
        self._driver = driver
        return True

    def end(self) -> None:
        """Shut NVML down, if it is up."""
        driver, self._driver = self._driver, None
        if driver is not None:
            self._inventory.forget_handles()
            with contextlib.suppress(DriverError):  # a driver that is gone cannot be shut down
                driver.close()


def _is_broken(reading: Reading) -> bool:
    return reading.error is not None and reading.error.code in SESSION | LOST
