"""
The session with the driver: kept from read to read, renewed when it breaks, and the driver's versions.

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
from gpuwatch_tray.sources.nvml.readings import GpuReading, asleep_reading, unreachable_reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.sources.nvml.events import XidListener
    from gpuwatch_tray.sources.nvml.inventory import SeenGpu
    from gpuwatch_tray.sources.nvml.sleeping import SleepPolicy


class NvmlSession:
    """
    Reads all GPUs. `steady` is the clock of the back-offs, in seconds.

    `library` is the version of NVML, read when it does not fit the kernel's module.
    """

    def __init__(self, steady: Callable[[], float], sleep: SleepPolicy, events: XidListener) -> None:
        self.library = ""
        self._steady = steady
        self._sleep = sleep
        self._events = events
        self._driver: Driver | None = None
        self._inventory = Inventory(sleep)
        self._reads = 0  # in this session
        self._failure: DriverError | None = None  # why there is no session
        self._opening = Backoff(first=2, most=30)
        self._renewal = Backoff(first=5, most=600)  # it may take seconds, and a lost GPU seldom comes back

    def read(self) -> list[GpuReading]:
        """
        Read each GPU seen since the start.

        Raises DriverError where nothing can be read; until it is time to try again, the last one again.
        """
        if self._leave_alone():
            self.close()
            return [unreachable_reading(seen) if seen.lost else asleep_reading(seen) for seen in self._gpus]
        last = self._failure
        if last is not None and not self._opening.due(self._steady()):
            raise DriverError(last.code, last.text)  # a new one: each raise would lengthen its traceback
        try:
            readings = self._read_or_renew()
        except DriverError as error:
            self._failure = DriverError(error.code, error.text)
            self._opening.failed(self._steady())
            self.close()
            raise
        self._failure = None
        self._opening.reset()
        self._let_sleep(readings)
        return readings

    @property
    def _gpus(self) -> list[SeenGpu]:
        # By index as nvidia-smi lists them; after a loss one may have taken over another's index.
        return sorted(self._inventory.gpus, key=lambda gpu: gpu.index)

    def _leave_alone(self) -> bool:
        """Tell whether all GPUs sleep, or are left alone so that they fall asleep."""
        if self._inventory.all_asleep():
            self._sleep.end_rest()
            return True
        return bool(self._inventory.gpus) and self._sleep.is_resting()

    def _let_sleep(self, readings: list[GpuReading]) -> None:
        """Close the session if nothing else keeps the GPUs awake."""
        gpus = self._inventory.gpus
        if (
            readings
            and all(reading.unused for reading in readings)
            and all(seen.asleep or self._sleep.may_sleep(seen.pci) for seen in gpus)
        ):
            self._sleep.begin_rest()
            self.close()

    def _read_or_renew(self) -> list[GpuReading]:
        """Read all GPUs; where something fails that a new session may mend, in a new session."""
        renewable = not self._open() and self._renewal.due(self._steady())
        try:
            readings = self._read_gpus()
            broken = any(_is_broken(reading) for reading in readings)
        except DriverError:
            if not renewable:
                raise
            readings, broken = [], True
        if not broken:
            self._renewal.reset()
        elif renewable:
            self._renewal.failed(self._steady())
            self.close()
            self._open()
            readings = self._read_gpus()
        return readings

    def _read_gpus(self) -> list[GpuReading]:
        driver = self._driver
        if driver is None:
            raise ValueError("the session is not open")
        self._inventory.refresh(driver)
        readings = [read_gpu(driver, seen) for seen in self._gpus]
        self._reads += 1
        if self._reads > 1:  # a program that reads once needs no events, and would wait for the thread
            awake = {seen.uuid: seen.handle for seen in self._gpus if not seen.asleep}
            self._events.listen_to(
                driver, {uuid: handle for uuid, handle in awake.items() if handle is not None}
            )
        return readings

    def _open(self) -> bool:
        """Initialise NVML if need be; return whether it was."""
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

    def close(self) -> None:
        """Shut NVML down, if it is up."""
        driver, self._driver = self._driver, None
        if driver is not None:
            self._reads = 0
            self._inventory.forget_handles()
            # While another thread is stuck in the driver, a shutdown would hang, too, or end this process.
            if self._events.stop():
                with contextlib.suppress(DriverError):  # a driver that is gone cannot be shut down
                    driver.close()


def _is_broken(reading: GpuReading) -> bool:
    return reading.error is not None and reading.error.code in SESSION | LOST
