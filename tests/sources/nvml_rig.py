"""An NVML source, the scenario that its driver plays, and the calls that it made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.sources.nvml import NvmlSource
from gpuwatch_tray.sources.processes import ProcessInspector, steady_clock
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
        self._since_boot = Clock(steady_clock())
        self.devices = path.with_name("pci-devices")
        self.cards = path.with_name("cards")
        self.source = self.another()
        self.play()

    def another(self, **more) -> NvmlSource:
        """Return a source like the rig's own."""
        own = ("clock", "steady", "module_version", "devices", "cards")
        # A made-up PID may be a process of this computer: its age is not to change from read to read either.
        inspector = ProcessInspector(clock=self.clock, steady=self._since_boot)
        given = {"event_wait": 0.02, "inspector": inspector, **{name: getattr(self, name) for name in own}}
        return NvmlSource(**given | more)

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


class Bus:
    """The folders of the kernel and of the driver, with the rig's GPUs in them."""

    def __init__(self, rig):
        self._rig = rig

    def card(
        self,
        number=0,
        status="active",
        *,
        control="on",
        power="",
        vendor="0x10de",
        kind="0x030000",
        by="nvidia",
    ):
        """Return the folder of the GPU that FakeGpu.numbered makes of the number."""
        pci = f"0000:{number + 1:02x}:00.0"
        folder = self._rig.devices / pci
        (folder / "power").mkdir(parents=True, exist_ok=True)
        (folder / "vendor").write_text(f"{vendor}\n")
        (folder / "class").write_text(f"{kind}\n")
        (folder / "power" / "runtime_status").write_text(f"{status}\n")
        (folder / "power" / "control").write_text(f"{control}\n")
        link = folder / "driver"
        link.unlink(missing_ok=True)
        if by:
            link.symlink_to(f"../../../bus/pci/drivers/{by}")
        (self._rig.cards / pci).mkdir(parents=True, exist_ok=True)
        (self._rig.cards / pci / "power").write_text(power)
