"""
The driver, behind a narrow typed face: the only importer of pynvml.

Every exception that a call may raise leaves here as a DriverError. pynvml's own are no good to hold:
NVMLError cannot be hashed or compared with None, and NVMLLibraryMismatchError is not one of them.
"""

from __future__ import annotations

from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NewType, Protocol, TypeVar, cast

from gpuwatch_tray.model import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

Handle = NewType("Handle", object)


class Code(IntEnum):
    """The codes that make a difference: NVML's own (nvml.h, nvmlReturn_t), and two for a missing pynvml."""

    NO_BINDING = -1
    SHADOWED_BINDING = -2
    UNINITIALIZED = 1
    INVALID_ARGUMENT = 2
    NOT_SUPPORTED = 3
    NO_PERMISSION = 4
    NOT_FOUND = 6
    DRIVER_NOT_LOADED = 9
    LIBRARY_NOT_FOUND = 12
    FUNCTION_NOT_FOUND = 13
    GPU_IS_LOST = 15
    RESET_REQUIRED = 16
    OPERATING_SYSTEM = 17
    LIB_RM_VERSION_MISMATCH = 18
    ARGUMENT_VERSION_MISMATCH = 25
    GPU_NOT_FOUND = 28
    UNKNOWN = 999


# This version of a call is not for this driver or GPU: another version of it may be.
_OTHER_VERSION = {Code.NOT_SUPPORTED, Code.FUNCTION_NOT_FOUND, Code.ARGUMENT_VERSION_MISMATCH}


class DriverError(Exception):
    """A call of the driver that gave no answer. `code` is one of nvmlReturn_t, or a negative Code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def unsupported(self) -> bool:
        """Whether this driver or GPU never answers the call, so that nothing is wrong."""
        return self.code in _OTHER_VERSION


class _Pynvml(Protocol):
    # The part of pynvml that is used here; it has no types of its own.
    NVMLError: type[Exception]
    NVMLLibraryMismatchError: type[Exception]
    NVML_TEMPERATURE_GPU: int
    nvmlMemory_v2: int  # noqa: N815  # pynvml's names
    nvmlInit: Callable[[], None]  # noqa: N815
    nvmlShutdown: Callable[[], None]  # noqa: N815
    nvmlSystemGetNVMLVersion: Callable[[], str | bytes]  # noqa: N815
    nvmlDeviceGetCount: Callable[[], int]  # noqa: N815
    nvmlDeviceGetHandleByIndex: Callable[[int], Handle]  # noqa: N815
    nvmlDeviceGetUUID: Callable[[Handle], str | bytes]  # noqa: N815
    nvmlDeviceGetName: Callable[[Handle], str | bytes]  # noqa: N815
    nvmlDeviceGetMemoryInfo: Callable[..., Any]  # noqa: N815
    nvmlDeviceGetUtilizationRates: Callable[[Handle], Any]  # noqa: N815
    nvmlDeviceGetTemperatureV: Callable[[Handle, int], int]  # noqa: N815
    nvmlDeviceGetTemperature: Callable[[Handle, int], int]  # noqa: N815
    nvmlDeviceGetPowerUsage: Callable[[Handle], int]  # noqa: N815
    nvmlDeviceGetEnforcedPowerLimit: Callable[[Handle], int]  # noqa: N815
    nvmlDeviceGetFanSpeed: Callable[[Handle], int]  # noqa: N815


class Driver:
    """
    NVML as far as it is used here. Each method makes one call, in the units of the model.

    Raises DriverError from everything, the constructor included (pynvml missing or the wrong one).
    """

    def __init__(self) -> None:
        self._nvml = _load()

    def open(self) -> None:
        """Load the library if need be, and initialise it. Handles from before are void."""
        with self._converting():
            self._nvml.nvmlInit()

    def close(self) -> None:
        """Shut NVML down; the library stays loaded."""
        with self._converting():
            self._nvml.nvmlShutdown()

    def library_version(self) -> str:
        """The library's version, such as "12.550.54.14"; it can be asked at any time."""
        with self._converting():
            return _text(self._nvml.nvmlSystemGetNVMLVersion)

    def count(self) -> int:
        """How many GPUs the driver lists, lost ones included as long as it does."""
        with self._converting():
            return self._nvml.nvmlDeviceGetCount()

    def by_index(self, index: int) -> Handle:
        """The handle of a GPU, good until `close`."""
        with self._converting():
            return self._nvml.nvmlDeviceGetHandleByIndex(index)

    def uuid(self, handle: Handle) -> str:
        """What names a GPU for good."""
        with self._converting():
            return _text(lambda: self._nvml.nvmlDeviceGetUUID(handle))

    def name(self, handle: Handle) -> str:
        """The product's name."""
        with self._converting():
            return _text(lambda: self._nvml.nvmlDeviceGetName(handle))

    def memory(self, handle: Handle) -> tuple[int, int]:
        """Memory used and in all. The first version of the call counts what is reserved as used."""

        def second(handle: Handle) -> Any:
            return self._nvml.nvmlDeviceGetMemoryInfo(handle, version=self._nvml.nvmlMemory_v2)

        memory = self._newest(handle, second, self._nvml.nvmlDeviceGetMemoryInfo)
        if not memory.total:  # GPUs that share the machine's memory
            raise DriverError(Code.NOT_SUPPORTED, "Not Supported")
        return int(memory.used), int(memory.total)

    def utilisation(self, handle: Handle) -> int:
        """Share of the last sample period in which a kernel ran, in %."""
        with self._converting():
            return int(self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu)

    def temperature(self, handle: Handle) -> int:
        """Temperature of the chip. The older version of the call goes away with CUDA 14."""
        sensor = self._nvml.NVML_TEMPERATURE_GPU
        degrees = self._newest(
            handle,
            lambda it: self._nvml.nvmlDeviceGetTemperatureV(it, sensor),
            lambda it: self._nvml.nvmlDeviceGetTemperature(it, sensor),
        )
        return degrees if degrees < 2**31 else degrees - 2**32  # the older one has no sign

    def power(self, handle: Handle) -> float:
        """Power drawn now, in W (NVML: mW)."""
        with self._converting():
            return self._nvml.nvmlDeviceGetPowerUsage(handle) / 1000

    def power_limit(self, handle: Handle) -> float:
        """The limit in force, in W (NVML: mW)."""
        with self._converting():
            return self._nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000

    def fan(self, handle: Handle) -> int:
        """Intended fan speed in % of the full one."""
        with self._converting():
            return self._nvml.nvmlDeviceGetFanSpeed(handle)

    def processes(self, handle: Handle, kind: Kind) -> Sequence[tuple[int, int | None]]:
        """PID and memory (None where the driver gives none) of the processes of one kind."""
        name = {Kind.COMPUTE: "Compute", Kind.GRAPHICS: "Graphics", Kind.MPS: "MPSCompute"}[kind]

        def version(number: int) -> Callable[[Handle], Any]:
            call: Callable[[Handle], Any] = getattr(
                self._nvml, f"nvmlDeviceGet{name}RunningProcesses_v{number}"
            )
            return call

        # The third version came with driver 510, the second with 460; the struct is the same.
        found = self._newest(handle, version(3), version(2))
        return [(int(one.pid), one.usedGpuMemory) for one in found]

    def _newest(self, handle: Handle, newer: Callable[[Handle], T], older: Callable[[Handle], T]) -> T:
        try:
            with self._converting():
                return newer(handle)
        except DriverError as error:
            if not error.unsupported:
                raise
        with self._converting():
            return older(handle)

    @contextmanager
    def _converting(self) -> Iterator[None]:
        try:
            yield
        except self._nvml.NVMLError as error:
            raise DriverError(cast("Any", error).value, str(error)) from None
        except (self._nvml.NVMLLibraryMismatchError, AttributeError):
            # AttributeError: a pynvml from before the call.
            raise DriverError(Code.FUNCTION_NOT_FOUND, "Function Not Found") from None


def _load() -> _Pynvml:
    # Late: the commands that need no driver should not pay for the import, 46 ms.
    try:
        import pynvml  # noqa: PLC0415, TID251  # the one importer
    except ImportError as error:
        raise DriverError(Code.NO_BINDING, str(error)) from None
    if hasattr(pynvml, "__path__"):
        # The official one is a single file; a package is the abandoned `pynvml` <= 11.5 of the same name.
        raise DriverError(Code.SHADOWED_BINDING, str(pynvml.__file__))
    return cast("_Pynvml", pynvml)


def _text(call: Callable[[], str | bytes]) -> str:
    """The answer of `call` as text: pynvml decodes, but strictly."""
    try:
        answer = call()
    except UnicodeDecodeError as error:
        answer = error.object
    return answer if isinstance(answer, str) else answer.decode("utf-8", "replace")
