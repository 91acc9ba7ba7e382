"""The NVML source: the readings of a session as a snapshot, its failure as a problem."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.model import GpuProcess, Problem, Snapshot
from gpuwatch_tray.sources.nvml.binding import DriverError
from gpuwatch_tray.sources.nvml.problems import NO_GPU, explain
from gpuwatch_tray.sources.nvml.session import Session
from gpuwatch_tray.sources.processes import Inspector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.sources.nvml.reading import Reading

MODULE_VERSION = Path("/sys/module/nvidia/version")


class NvmlSource:
    """
    Every GPU and GPU process of this machine.

    pynvml and the driver's library are first touched by `read`. `clock` gives the wall time of a snapshot,
    `steady` the time of the back-offs; Linux tells the version of the kernel's module in `module_version`.
    """

    name = "nvml"

    def __init__(
        self,
        *,
        inspector: Inspector | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        module_version: Path = MODULE_VERSION,
    ) -> None:
        self._inspector = Inspector(clock=clock) if inspector is None else inspector
        self._clock = clock
        self._module_version = module_version
        self._session = Session(steady)
        self._lock = threading.Lock()
        self._closed = False

    def read(self) -> Snapshot:
        """Read all GPUs. What keeps all of them from being read is a problem, never an empty list."""
        try:
            with self._lock:
                return self._snapshot()
        finally:
            if self._closed:  # while this read was stuck in the driver
                self.close()

    def close(self) -> None:
        """Shut NVML down; where a read is stuck in the driver, that is left to the read's end."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._session.end()
            finally:
                self._lock.release()

    def _snapshot(self) -> Snapshot:
        nothing = Snapshot(self.name, self._clock(), boot_id=self._inspector.boot_id)
        if self._closed:
            return replace(nothing, problem=Problem("the NVML source is closed"))
        try:
            readings = self._session.readings()
        except DriverError as error:
            problem = explain(error, self._session.library, _first_line(self._module_version))
            return replace(nothing, problem=problem)
        if not readings:
            return replace(nothing, problem=NO_GPU)
        gpus = tuple(reading.gpu for reading in readings)
        return replace(nothing, gpus=gpus, processes=self._processes(readings))

    def _processes(self, readings: Sequence[Reading]) -> tuple[GpuProcess, ...]:
        """By GPU, then in the driver's order, as nvidia-smi lists them."""
        facts = self._inspector.describe({one.pid for reading in readings for one in reading.processes})
        return tuple(
            facts[one.pid].on_gpu(reading.gpu.index, one.kinds, one.memory)
            for reading in readings
            for one in reading.processes
        )


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""
