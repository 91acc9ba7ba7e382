"""The session with the driver: kept from read to read, renewed when it breaks, and the versions."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.i18n import _
from gpuwatch_tray.sources.nvml.api import Code, Driver, DriverError
from gpuwatch_tray.sources.nvml.inventory import Inventory, first_line
from gpuwatch_tray.sources.nvml.metrics import GpuReading, asleep_reading, read_gpu, unreachable_reading
from gpuwatch_tray.sources.nvml.problems import LOST, SESSION, driver_problem, driver_version
from gpuwatch_tray.sources.nvml.query import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.model import Problem
    from gpuwatch_tray.sources.nvml.events import XidListener
    from gpuwatch_tray.sources.nvml.inventory import SeenGpu, SleepPolicy


class NvmlSession:
    """Reads all GPUs; `library` is NVML's version, known where it does not fit the kernel's module."""

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
        self._cards: frozenset[str] | None = None  # on the PCI bus at the first read
        self._arrivals = Backoff(first=60, most=3600)
        self._renewal = Backoff(first=5, most=600)  # it may take seconds, and a lost GPU seldom comes back

    def read(self) -> list[GpuReading]:
        """Read each GPU seen since the start; raises DriverError where nothing can be read."""
        if self._leave_alone():
            self.close()
            return [unreachable_reading(seen) if seen.lost else asleep_reading(seen) for seen in self._gpus]
        self._renew_for_arrivals()
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
    def hidden(self) -> int:
        """How many GPUs the driver counts that were never given to this session."""
        return len(self._inventory.hidden)

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

    def _renew_for_arrivals(self) -> None:
        """Close the session where a GPU came to the PCI bus since: NVML lists those of its nvmlInit only."""
        present = frozenset(self._sleep.present())
        self._cards = present if self._cards is None else self._cards
        now = self._steady()
        if not present - self._cards - {seen.pci for seen in self._inventory.gpus}:
            self._arrivals.reset()
        elif self._driver is not None and self._arrivals.due(now):
            self._arrivals.failed(now)
            self.close()

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
        renewable = self._driver is not None and self._renewal.due(self._steady())
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
            readings = self._read_gpus()
        return readings

    def _read_gpus(self) -> list[GpuReading]:
        driver = self._open()
        self._inventory.refresh(driver)
        if self._inventory.hidden and not self._inventory.gpus:
            raise DriverError(Code.NO_PERMISSION, "Insufficient Permissions")
        readings = [read_gpu(driver, seen) for seen in self._gpus]
        self._reads += 1
        if self._reads > 1:  # a program that reads once needs no events, and would wait for the thread
            awake = {gpu.uuid: gpu.handle for gpu in self._gpus if gpu.handle is not None and not gpu.asleep}
            self._events.listen_to(driver, awake)
        return readings

    def _open(self) -> Driver:
        """Return the driver, initialised if need be."""
        if self._driver is not None:
            return self._driver
        driver = Driver()
        try:
            driver.open()
        except DriverError as error:
            if error.code == Code.LIB_RM_VERSION_MISMATCH:
                with suppress(DriverError):
                    self.library = driver.library_version()
            raise
        self._driver = driver
        return driver

    def close(self) -> None:
        """Shut NVML down, if it is up, so that it can be opened anew."""
        driver = self._forget_driver()
        # While another thread is stuck in the driver, a shutdown would hang, too, or end this process.
        if driver is not None and self._events.stop():
            _shut_down(driver)

    def end(self) -> None:
        """Shut NVML down for good, soon: the listener does it where it still waits in the driver."""
        driver = self._forget_driver()
        if driver is not None:
            self._events.end(lambda: _shut_down(driver))

    def _forget_driver(self) -> Driver | None:
        driver, self._driver = self._driver, None
        if driver is not None:
            self._reads = 0
            self._inventory.forget_handles()
        return driver


def _shut_down(driver: Driver) -> None:
    with suppress(DriverError):  # one that is gone cannot be shut down
        driver.close()


def _is_broken(reading: GpuReading) -> bool:
    return reading.error is not None and reading.error.code in SESSION | LOST


MODULE_VERSION = Path("/sys/module/nvidia/version")
MAPS = Path("/proc/self/maps")

_CHECK_EVERY = 12  # readings between two checks: a minute at the default interval
_LIBRARY = "libnvidia-ml.so"
_SONAME = f"{_LIBRARY}.1"  # what programs open; it leads to a file that is named after its version
_VERSION = late_pattern(r"\.so\.(\d+\.\d+(?:\.\d+)*)$")


class ReplacementCheck:
    """
    Compares the versions of the library on disk and of the kernel's module; Linux only, without NVML.

    An open session goes on with the old library, and so do the jobs that run: without this check all would
    seem well while no new job can start. `module_version` and `maps` are the files in which Linux tells it.
    """

    def __init__(self, module_version: Path = MODULE_VERSION, maps: Path = MAPS) -> None:
        self.problem: Problem | None = None
        self._module_version = module_version
        self._maps = maps
        self._folder: Path | None = None
        self._readings = 0

    @property
    def module(self) -> str:
        """The version of the kernel's module; empty where it is not told."""
        return first_line(self._module_version)

    def check(self) -> Problem | None:
        """Return the problem, if there is one; it is checked anew now and then."""
        if self._readings % _CHECK_EVERY == 0:
            self.problem = self._compare()
        self._readings += 1
        return self.problem

    def _compare(self) -> Problem | None:
        self._folder = self._folder or self._loaded_from()
        library, module = self._on_disk(), self.module
        if not library or not module or library == module:
            return None
        return driver_problem(DriverError(Code.LIB_RM_VERSION_MISMATCH, ""), library, module)

    def _loaded_from(self) -> Path | None:
        """Return the folder of the library that this process has loaded, even when the file is gone."""
        try:
            lines = self._maps.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError:
            return None
        loaded = (line[line.index("/") :] for line in lines if f"/{_LIBRARY}" in line)
        return next((Path(path).parent for path in loaded), None)

    def _on_disk(self) -> str:
        """Return the version that a program would load now; empty where the file's name does not tell it."""
        if self._folder is None:
            return ""
        found = _VERSION.search((self._folder / _SONAME).resolve().name)
        return found[1] if found else ""


def driver_versions(module: Path = MODULE_VERSION) -> str:
    """Write the versions of the library and the kernel's module, as far as known. Needs NVML initialised."""
    library = ""
    with suppress(DriverError):
        library = driver_version(Driver().library_version())
    loaded = first_line(module)
    return ", ".join(
        [
            *([_("library {version}").format(version=library)] if library else []),
            *([_("kernel module {version}").format(version=loaded)] if loaded else []),
        ]
    )
