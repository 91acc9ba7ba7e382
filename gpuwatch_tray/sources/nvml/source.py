"""The NVML source: the readings of a session as a snapshot, its failure as a problem."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.model import GpuProcess, Problem, Snapshot
from gpuwatch_tray.sources.nvml import events, replaced, sleeping
from gpuwatch_tray.sources.nvml.codes import DriverError
from gpuwatch_tray.sources.nvml.problems import explain, no_gpu
from gpuwatch_tray.sources.nvml.session import Session
from gpuwatch_tray.sources.processes import ProcessInspector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gpuwatch_tray.sources.nvml.readings import Reading


class NvmlSource:
    """
    Every GPU and GPU process of this machine, and the Xid errors since the reading before.

    pynvml and the driver's library are first touched by `read`. A GPU that the system has suspended is left
    so, unless `wake_sleeping`. `clock` gives the wall time of a snapshot, `steady` the time of the back-offs,
    `event_wait` the seconds that `close` may take at most, or little more. Linux tells the version of the
    kernel's module in `module_version`, what this process has loaded in `maps`, the state of the devices in
    `devices`, the driver that of its GPUs in `cards`.
    """

    name = "nvml"

    def __init__(
        self,
        *,
        inspector: ProcessInspector | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        wake_sleeping: bool = False,
        event_wait: float = events.WAIT,
        module_version: Path = replaced.MODULE_VERSION,
        maps: Path = replaced.MAPS,
        devices: Path = sleeping.DEVICES,
        cards: Path = sleeping.CARDS,
    ) -> None:
        self._inspector = ProcessInspector(clock=clock) if inspector is None else inspector
        self._clock = clock
        self._replaced = replaced.Replaced(module_version, maps)
        self._events = events.Events(clock, event_wait)
        self._sleep = sleep = sleeping.Sleep(steady, wake=wake_sleeping, devices=devices, cards=cards)
        self._session = Session(steady, sleep, self._events)
        self._lock = threading.Lock()
        self._closed = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What this driver does not tell, one line each, as far as the reads have shown."""
        return (self._events.trouble,) if self._events.trouble else ()

    def wake_sleeping(self, *, wake: bool) -> None:
        """Whether GPUs that the system has suspended are asked from the next read on; from any thread."""
        self._sleep.wake = wake

    def read(self) -> Snapshot:
        """Read all GPUs. What keeps all of them from being read is a problem, never an empty list."""
        try:
            with self._lock:
                snapshot = self._snapshot()
                return replace(snapshot, events=self._events.take(), no_events=self._events.trouble)
        finally:
            if self._closed:  # while this read was stuck in the driver
                self.close()

    def close(self) -> None:
        """Shut NVML down; where a read is stuck in the driver, that is left to the read's end."""
        self._closed = True
        self._events.stop()
        if self._lock.acquire(blocking=False):
            try:
                self._session.end()
            finally:
                self._lock.release()

    def _snapshot(self) -> Snapshot:
        nothing = Snapshot(self.name, self._clock(), boot_id=self._inspector.boot_id)
        if self._closed:
            return replace(nothing, problem=Problem(_("the NVML source is closed")))
        try:
            readings = self._session.readings()
        except DriverError as error:
            problem = explain(error, self._session.library, self._replaced.module)
            return replace(nothing, problem=problem)
        if not readings:
            return replace(nothing, problem=no_gpu())
        nothing = replace(nothing, mismatch=self._replaced.look())
        # A GPU, then its MIG devices.
        each = [one for reading in readings for one in (reading, *reading.parts)]
        return replace(nothing, gpus=tuple(one.gpu for one in each), processes=self._processes(each))

    def _processes(self, readings: Sequence[Reading]) -> tuple[GpuProcess, ...]:
        """By GPU, then in the driver's order, as nvidia-smi lists them."""
        facts = self._inspector.inspect_all({one.pid for reading in readings for one in reading.processes})
        return tuple(
            [
                facts[pid].on_gpu(gpu.index, kinds, memory, gpu.uuid if gpu.physical else "")
                for gpu, processes in ((reading.gpu, reading.processes) for reading in readings)
                for pid, kinds, memory in processes
            ]
        )
