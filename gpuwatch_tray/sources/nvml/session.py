"""
The session with the driver: begun once, kept from read to read, and renewed when it breaks.

Initialising at each poll would cost more than everything else. After a resume from suspend, or while the
driver is replaced, every call fails until NVML is shut down and initialised again.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gpuwatch_tray.sources.nvml.backoff import Backoff
from gpuwatch_tray.sources.nvml.binding import Driver
from gpuwatch_tray.sources.nvml.codes import Code, DriverError
from gpuwatch_tray.sources.nvml.inventory import Inventory
from gpuwatch_tray.sources.nvml.problems import LOST, SESSION
from gpuwatch_tray.sources.nvml.reading import read_gpu
from gpuwatch_tray.sources.nvml.readings import Reading, asleep, unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.sources.nvml.events import Events
    from gpuwatch_tray.sources.nvml.inventory import Seen
    from gpuwatch_tray.sources.nvml.sleeping import Sleep


class Session:
    """
    Readings of all GPUs. `steady` is the time that the back-offs go by.

    `library` is the version of NVML, learnt when it does not fit the kernel's module.
    """

    def __init__(self, steady: Callable[[], float], sleep: Sleep, events: Events) -> None:
        self.library = ""
        self._steady = steady
        self._sleep = sleep
        self._events = events
        self._driver: Driver | None = None
        self._inventory = Inventory(sleep)
        self._reads = 0  # in this session
        self._failure: DriverError | None = None  # why there is no session
        self._beginning = Backoff(first=2, most=30)
        self._renewal = Backoff(first=5, most=600)  # it may take seconds, and a lost GPU seldom comes back

    def readings(self) -> list[Reading]:
        """
        Read each GPU seen since the start.

        Raises DriverError where nothing can be read; until it is time to try again, as the last try did.
        """
        if self._left_alone():
            self.end()
            return [unreachable(seen) if seen.lost else asleep(seen) for seen in self._gpus]
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
        self._let_sleep(readings)
        return readings

    @property
    def _gpus(self) -> list[Seen]:
        # By index as nvidia-smi lists them; after a loss one may have taken over another's index.
        return sorted(self._inventory.gpus, key=lambda it: it.index)

    def _left_alone(self) -> bool:
        """Whether all GPUs sleep, or shall come to it."""
        if self._inventory.all_asleep():
            self._sleep.stirred()
            return True
        return bool(self._inventory.gpus) and self._sleep.resting()

    def _let_sleep(self, readings: list[Reading]) -> None:
        """Close the session where it is all that keeps the GPUs awake."""
        gpus = self._inventory.gpus
        if (
            readings
            and all(reading.unused for reading in readings)
            and all(seen.asleep or self._sleep.may_sleep(seen.pci) for seen in gpus)
        ):
            self._sleep.rest()
            self.end()

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
        driver = self._driver
        if driver is None:
            raise ValueError("the session has not begun")
        self._inventory.refresh(driver)
        readings = [read_gpu(driver, seen) for seen in self._gpus]
        self._reads += 1
        if self._reads > 1:  # a program that reads once has no use for events, and would wait for the thread
            awake = {seen.uuid: seen.handle for seen in self._gpus if not seen.asleep}
            self._events.hear(driver, {uuid: handle for uuid, handle in awake.items() if handle is not None})
        return readings

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
            self._reads = 0
            self._inventory.forget_handles()
            # While another thread is stuck in the driver, a shutdown would hang, too, or end this process.
            if self._events.end():
                with contextlib.suppress(DriverError):  # a driver that is gone cannot be shut down
                    driver.close()


def _is_broken(reading: Reading) -> bool:
    return reading.error is not None and reading.error.code in SESSION | LOST
