"""
A made-up NVIDIA driver for everybody's tests: the C library of this folder and the scenarios it plays.

    scenario = Scenario(gpus=[FakeGpu(processes=[FakeProcess(os.getpid(), 2828 * MIB)]), FakeGpu.numbered(1)])
    path = scenario.write(tmp_path / "scenario")
    subprocess.run([...], env=environment(path))       # a child finds the library by LD_LIBRARY_PATH
    with loaded(path): NvmlSource().read()             # this process: the real pynvml on the library
    replace(scenario, init_error=DRIVER_NOT_LOADED).write(path)   # takes effect at the next call

`errors` and `hang` (seconds) are by call. Of a GPU: handle_by_index handle_by_uuid index uuid name memory
utilisation temperature power power_limit fan compute graphics mps; one version only: memory_v1 memory_v2
temperature_v1 temperature_v compute_v1 compute_v2 compute_v3, graphics alike, and mps without its v1
(FUNCTION_NOT_FOUND: old driver). Further: pci slowdown clocks ecc ecc_corrected ecc_uncorrected rows fields
recovery width width_most energy mig_mode mig_count mig_handle event_register handle_by_pci; one version
only: clocks_event clocks_throttle. Of the machine: init shutdown count driver_version nvml_version
event_create event_wait event_free, and the calls above for all its GPUs. A hang ends when the scenario
changes. `stale` is what every call answers until nvmlInit is called again, as after a resume. As with the
real one the GPUs of an nvmlInit are all that it ever lists. `calls` names a file to which every call is
appended; `calls_in(path)` counts them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence  # noqa: TC003  # Hypothesis looks at what it builds
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from tests.driver.build import SONAME, library

MIB = 2**20
GIB = 2**30

XID = 0x8  # nvmlEventTypeXidCriticalError

UNINITIALIZED = 1
INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
DRIVER_NOT_LOADED = 9
TIMEOUT = 10
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
OPERATING_SYSTEM = 17
LIB_RM_VERSION_MISMATCH = 18
NO_DATA = 21
ARGUMENT_VERSION_MISMATCH = 25
UNKNOWN = 999

_VARIABLE = "FAKE_NVML_SCENARIO"


class FakeProcess(Struct, frozen=True):
    """A process on a GPU. `kinds` are letters of C, G and M; no `memory`: the driver gives none."""

    pid: int
    memory: int | None = 100 * MIB
    kinds: str = "C"


class FakeMig(Struct, frozen=True):
    """A MIG device, in a slot of its GPU."""

    slot: int = 0
    uuid: str = "MIG-00000000-0000-0000-0000-000000000000"
    name: str = "NVIDIA Test 4090 MIG 1g.10gb"
    memory_total: int = 10 * GIB
    memory_used: int = GIB
    processes: Sequence[FakeProcess] = ()
    errors: Mapping[str, int] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        yield f"migdevice {self.slot} {self.uuid}"
        yield f"name {self.name}"
        yield f"memory {self.memory_total} 0 {self.memory_used}"
        yield from _processes(self.processes)
        yield from _rules(self.errors, {})


class FakeEvent(Struct, frozen=True):
    """An event of a GPU that is reported once; of several the numbers rise. The default is an Xid."""

    number: int
    uuid: str
    data: int
    type: int = XID


class FakeGpu(Struct, frozen=True):
    """A GPU, with the units of model.Gpu. `migs` None: it has no MIG mode; empty: on, without devices."""

    uuid: str = "GPU-00000000-0000-0000-0000-000000000000"
    name: str = "NVIDIA Test 4090"
    memory_total: int = 24 * GIB
    memory_used: int = GIB
    memory_reserved: int = 512 * MIB
    utilisation: int = 12
    temperature: int = 45
    power: float = 60.5
    power_limit: float = 450
    fan: int = 30
    energy: float = 1000
    pci: tuple[int, int, int] = (0, 1, 0)  # domain, bus, device
    slowdown: int = 93
    clocks: int = 0
    ecc: tuple[int, int] = (0, 0)  # corrected, uncorrected
    rows: tuple[int, int] = (0, 0)  # pending, failed
    recovery: int = 0  # nvmlDeviceGpuRecoveryAction_t
    width: tuple[int, int] = (16, 16)  # now, at most
    migs: Sequence[FakeMig] | None = None
    mig_mode: int | None = None  # where it is not what `migs` tells
    processes: Sequence[FakeProcess] = ()
    lost: bool = False
    errors: Mapping[str, int] = field(default_factory=dict)
    hang: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def numbered(cls, number: int, *processes: FakeProcess, **facts: Any) -> FakeGpu:
        """Make a GPU with a UUID of its own."""
        facts = {"pci": (0, number + 1, 0)} | facts
        return cls(uuid=f"GPU-00000000-0000-0000-0000-{number:012d}", processes=processes, **facts)

    def lines(self) -> Iterator[str]:
        yield f"gpu {self.uuid}"
        yield f"name {self.name}"
        yield f"memory {self.memory_total} {self.memory_reserved} {self.memory_used}"
        yield f"utilisation {self.utilisation}"
        yield f"temperature {self.temperature}"
        yield f"power {round(self.power * 1000)} {round(self.power_limit * 1000)}"
        yield f"fan {self.fan}"
        yield f"energy {round(self.energy * 1000)}"
        yield "pci {:x} {:x} {:x}".format(*self.pci)
        yield f"slowdown {self.slowdown}"
        yield f"clocks {self.clocks:x}"
        yield "ecc {} {}".format(*self.ecc)
        yield "rows {} {}".format(*self.rows)
        yield f"recovery {self.recovery}"
        yield "width {} {}".format(*self.width)
        yield f"mig {(-1 if self.migs is None else 1) if self.mig_mode is None else self.mig_mode}"
        yield f"lost {int(self.lost)}"
        yield from _processes(self.processes)
        yield from _rules(self.errors, self.hang)
        for mig in self.migs or ():
            yield from mig.lines()


class Scenario(Struct, frozen=True):
    """What the driver answers. Use `msgspec.structs.replace` for the next one."""

    gpus: Sequence[FakeGpu] = (FakeGpu(),)
    driver_version: str = "550.54.14"
    init_error: int = 0
    stale: int = 0
    records: int = 24  # bytes of a record in the third versions of the process lists
    events: Sequence[FakeEvent] = ()
    errors: Mapping[str, int] = field(default_factory=dict)
    hang: Mapping[str, float] = field(default_factory=dict)
    calls: Path | None = None

    def text(self) -> str:
        lines = [f"driver {self.driver_version}", f"stale {self.stale}", f"records {self.records}"]
        if self.calls is not None:
            lines.append(f"calls {self.calls}")
        lines += [f"event {each.number} {each.uuid} {each.type:x} {each.data}" for each in self.events]
        lines += _rules({"init": self.init_error, **self.errors}, self.hang)
        for gpu in self.gpus:
            lines += gpu.lines()
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> Path:
        """Put it in the place of what stands at `path`, in one step."""
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, delete=False) as file:
            file.write(self.text().encode("utf-8", "surrogateescape"))  # a name may be any bytes
        Path(file.name).replace(path)
        return path


def _processes(processes: Sequence[FakeProcess]) -> Iterator[str]:
    for process in processes:
        memory = "none" if process.memory is None else process.memory
        yield from (f"process {kind} {process.pid} {memory}" for kind in process.kinds)


def _rules(errors: Mapping[str, int], hang: Mapping[str, float]) -> list[str]:
    lines = [f"error {call} {code}" for call, code in errors.items()]
    return lines + [f"hang {call} {seconds}" for call, seconds in hang.items()]


def environment(
    scenario: Path, base: Mapping[str, str] | None = None, *, flags: Sequence[str] = ()
) -> dict[str, str]:
    """
    Return `base`, else this process's environment, so that a child finds the test driver and `scenario`.

    `flags` are further ones of the compiler (see build.py).
    """
    variables = dict(os.environ if base is None else base)
    folders = [str(library(*flags).parent), *filter(None, [variables.get("LD_LIBRARY_PATH")])]
    return variables | {"LD_LIBRARY_PATH": ":".join(folders), _VARIABLE: str(scenario)}


def without_driver(folder: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which a child finds no library of NVIDIA's, even on a machine that has one."""
    folder.mkdir(exist_ok=True)
    # The loader stops at a file of that name which is no library: "invalid ELF header".
    (folder / SONAME).write_text("This is no library, so that there is none.\n" * 100, encoding="ascii")
    variables = dict(os.environ if base is None else base)
    return variables | {"LD_LIBRARY_PATH": str(folder)}


@contextlib.contextmanager
def loaded(scenario: Path) -> Iterator[Path]:
    """
    Let the pynvml of this process find the test driver, playing `scenario`, and leave it shut down.

    pynvml opens the library by its soname, which the loader resolves to the one opened here, for the rest of
    the life of this process: that there is no library can only be tested in a child.
    """
    import pynvml  # the real binding is what is driven

    ctypes.CDLL(str(library()), mode=ctypes.RTLD_GLOBAL)
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = str(scenario)
    try:
        yield scenario
    finally:
        Scenario(gpus=()).write(scenario)  # a shutdown that the scenario refuses or hangs would leak
        with contextlib.suppress(pynvml.NVMLError):
            while True:
                pynvml.nvmlShutdown()
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


def calls_in(path: Path) -> Counter[str]:
    """How often each call was made: `memory_v2 GPU-...` and, over all GPUs, `memory_v2`."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return Counter(lines) + Counter(line.split(" ")[0] for line in lines if " " in line)
