"""The NVML source: the readings of a session as a snapshot, its failure as a problem."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.common.oom import count_oom_kills
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import GpuProcess, Problem, Snapshot
from gpuwatch_tray.sources.nvml.api import DriverError
from gpuwatch_tray.sources.nvml.events import WAIT, XidListener
from gpuwatch_tray.sources.nvml.inventory import CARDS, DEVICES, SleepPolicy
from gpuwatch_tray.sources.nvml.problems import driver_problem, no_gpu_problem
from gpuwatch_tray.sources.nvml.session import MAPS, MODULE_VERSION, NvmlSession, ReplacementCheck
from gpuwatch_tray.sources.processes import ProcessInspector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gpuwatch_tray.sources.nvml.metrics import GpuReading


class NvmlSource:
    """
    Every GPU and GPU process of this machine, and the Xid errors since the reading before.

    `read` is the first to load pynvml and the driver's library. A GPU that the system has suspended is left
    so, unless `wake_sleeping`. `clock` gives the wall time of a snapshot, `steady` the time of the back-offs.
    One wait for an Xid takes `event_wait` seconds, for which a read that needs a new session may wait, and
    `close` does not. `module_version`, `maps`, `devices` and `cards` are the files and folders in which Linux
    and the driver tell of the kernel's module, the libraries of this process, the PCI devices and the GPUs.
    """

    name = "nvml"

    def __init__(
        self,
        *,
        inspector: ProcessInspector | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        wake_sleeping: bool = False,
        event_wait: float = WAIT,
        module_version: Path = MODULE_VERSION,
        maps: Path = MAPS,
        devices: Path = DEVICES,
        cards: Path = CARDS,
    ) -> None:
        self._inspector = ProcessInspector(clock=clock) if inspector is None else inspector
        self._clock = clock
        self._replacement = ReplacementCheck(module_version, maps)
        self._events = XidListener(clock, event_wait)
        self._sleep = sleep = SleepPolicy(steady, wake=wake_sleeping, devices=devices, cards=cards)
        self._session = NvmlSession(steady, sleep, self._events)
        self._lock = threading.Lock()
        self._closed = False

    def wake_sleeping(self, *, wake: bool) -> None:
        """Read suspended GPUs too from the next read on, or leave them alone; from any thread."""
        self._sleep.wake = wake

    def read(self) -> Snapshot:
        """Read all GPUs; where none can be read, the snapshot has a problem."""
        try:
            with self._lock:
                snapshot = self._snapshot()
                return replace(snapshot, events=self._events.drain(), no_events=self._events.trouble)
        finally:
            if self._closed:  # while this read was stuck in the driver
                self.close()

    def close(self) -> None:
        """Shut NVML down; where a read or the wait for Xids is in the driver, its end does it."""
        self._closed = True
        self._events.request_stop()
        if self._lock.acquire(blocking=False):
            try:
                self._session.end()
                self._inspector.close()
            finally:
                self._lock.release()

    def _snapshot(self) -> Snapshot:
        nothing = Snapshot(self.name, self._clock(), boot_id=self._inspector.boot_id)
        if self._closed:
            return replace(nothing, problem=Problem(_("the NVML source is closed")))
        try:
            readings = self._session.read()
        except DriverError as error:
            problem = driver_problem(error, self._session.library, self._replacement.module)
            return replace(nothing, problem=problem)
        if not readings:
            return replace(nothing, problem=no_gpu_problem())
        nothing = replace(
            nothing,
            mismatch=self._replacement.check(),
            hidden=self._session.hidden,
            oom_kills=count_oom_kills(),
        )
        # A GPU, then its MIG devices.
        flat = [one for reading in readings for one in (reading, *reading.parts)]
        return replace(nothing, gpus=tuple(one.gpu for one in flat), processes=self._processes(flat))

    def _processes(self, readings: Sequence[GpuReading]) -> tuple[GpuProcess, ...]:
        """List the processes by GPU, then in the driver's order, as nvidia-smi does."""
        pids = {pid for reading in readings for pid, _kinds, _memory in reading.processes}
        facts = self._inspector.inspect_all(pids)
        return tuple(
            [
                facts[pid].on_gpu(gpu.index, kinds, memory, gpu.uuid if gpu.physical else "")
                for gpu, processes in ((reading.gpu, reading.processes) for reading in readings)
                for pid, kinds, memory in processes
            ]
        )
