"""An NVML source, the scenario that its driver plays, and the calls that it made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.sources.nvml import NvmlSource
from tests.driver.scenario import FakeGpu, FakeProcess, Scenario, calls_in
from tests.support.fakes import Clock

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from gpuwatch_tray.model import GpuProcess, Snapshot


class Rig:
    """`play` what the driver shall answer, then `read`. Time stands still unless `steady` is moved."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._calls = path.with_name("calls")
        self.module_version = path.with_name("module-version")
        self.clock = Clock()
        self.steady = Clock(0)
        self.devices = path.with_name("pci-devices")
        self.cards = path.with_name("cards")
        self.source = self.another()
        self.play()

    def another(self, **more) -> NvmlSource:
        """Return a source like the rig's own."""
        own = ("clock", "steady", "module_version", "devices", "cards")
        return NvmlSource(**{"event_wait": 0.02, **{name: getattr(self, name) for name in own}, **more})

    def play(self, *gpus: FakeGpu, **machine) -> None:
        """Play these GPUs; none given: one idle GPU."""
        Scenario(gpus=gpus or (FakeGpu(),), calls=self._calls, **machine).write(self._path)

    def play_none(self, **machine) -> None:
        """Play a driver that works and lists no GPU."""
        Scenario(gpus=(), calls=self._calls, **machine).write(self._path)

    def read(self) -> Snapshot:
        """Return what the source reads."""
        return self.source.read()

    def processes(self, *processes: FakeProcess, **gpu) -> tuple[GpuProcess, ...]:
        """Return what the source makes of these processes on one GPU."""
        self.play(FakeGpu(processes=processes, **gpu))
        return self.read().processes

    def calls(self) -> Counter[str]:
        """Return the driver's calls since the last time."""
        made = calls_in(self._calls)
        self._calls.unlink(missing_ok=True)
        return made
