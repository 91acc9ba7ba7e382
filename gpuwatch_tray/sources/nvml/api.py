"""
pynvml as it is used here, and what every call of it has in common: the only importer of pynvml.

Every exception that a call may raise leaves as a DriverError. pynvml's own are no good to hold: NVMLError
cannot be hashed or compared with None, and NVMLLibraryMismatchError is not one of them.
"""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from gpuwatch_tray.sources.nvml.codes import Code, DriverError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_REMEMBERED = 512  # calls of which it is known that their older version has to be asked


class Pynvml(Protocol):
    """The part of pynvml that is used; it has no types of its own."""

    NVMLError: type[Exception]
    NVMLLibraryMismatchError: type[Exception]
    NVML_TEMPERATURE_GPU: int
    NVML_TEMPERATURE_THRESHOLD_SLOWDOWN: int
    NVML_MEMORY_ERROR_TYPE_CORRECTED: int
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED: int
    NVML_VOLATILE_ECC: int
    nvmlLib: Any  # noqa: N815  # pynvml's names
    nvmlMemory_v2: int  # noqa: N815
    nvmlEventTypeXidCriticalError: int  # noqa: N815
    nvmlInit: Callable[[], None]  # noqa: N815
    nvmlShutdown: Callable[[], None]  # noqa: N815
    nvmlSystemGetNVMLVersion: Callable[[], str | bytes]  # noqa: N815
    nvmlDeviceGetCount: Callable[[], int]  # noqa: N815
    nvmlDeviceGetHandleByIndex: Callable[[int], Any]  # noqa: N815
    nvmlDeviceGetHandleByPciBusId: Callable[[bytes], Any]  # noqa: N815
    nvmlDeviceGetIndex: Callable[[Any], int]  # noqa: N815
    nvmlDeviceGetPciInfo: Callable[[Any], Any]  # noqa: N815
    nvmlDeviceGetUUID: Callable[[Any], str | bytes]  # noqa: N815
    nvmlDeviceGetName: Callable[[Any], str | bytes]  # noqa: N815
    nvmlDeviceGetMemoryInfo: Callable[..., Any]  # noqa: N815
    nvmlDeviceGetUtilizationRates: Callable[[Any], Any]  # noqa: N815
    nvmlDeviceGetTemperatureV: Callable[[Any, int], int]  # noqa: N815
    nvmlDeviceGetTemperature: Callable[[Any, int], int]  # noqa: N815
    nvmlDeviceGetTemperatureThreshold: Callable[[Any, int], int]  # noqa: N815
    nvmlDeviceGetPowerUsage: Callable[[Any], int]  # noqa: N815
    nvmlDeviceGetEnforcedPowerLimit: Callable[[Any], int]  # noqa: N815
    nvmlDeviceGetFanSpeed: Callable[[Any], int]  # noqa: N815
    nvmlDeviceGetCurrentClocksEventReasons: Callable[[Any], int]  # noqa: N815
    nvmlDeviceGetCurrentClocksThrottleReasons: Callable[[Any], int]  # noqa: N815
    nvmlDeviceGetTotalEnergyConsumption: Callable[[Any], int]  # noqa: N815
    nvmlDeviceGetTotalEccErrors: Callable[[Any, int, int], int]  # noqa: N815
    nvmlDeviceGetRemappedRows: Callable[[Any], tuple[int, int, int, int]]  # noqa: N815
    nvmlDeviceGetCurrPcieLinkWidth: Callable[[Any], int]  # noqa: N815
    nvmlDeviceGetMaxPcieLinkWidth: Callable[[Any], int]  # noqa: N815
    nvmlDeviceGetMigMode: Callable[[Any], list[int]]  # noqa: N815
    nvmlDeviceGetMaxMigDeviceCount: Callable[[Any], int]  # noqa: N815
    nvmlDeviceGetMigDeviceHandleByIndex: Callable[[Any, int], Any]  # noqa: N815
    nvmlEventSetCreate: Callable[[], Any]  # noqa: N815
    nvmlDeviceRegisterEvents: Callable[[Any, int, Any], None]  # noqa: N815
    nvmlEventSetWait_v2: Callable[[Any, int], Any]  # noqa: N815
    nvmlEventSetFree: Callable[[Any], None]  # noqa: N815


class Handle:
    """The driver's handle of a GPU or MIG device, good until NVML is shut down. `address` tells two apart."""

    __slots__ = ("address", "raw")

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.address = address_of(raw)
        if not self.address:  # a call with it would end this process
            raise DriverError(Code.GPU_NOT_FOUND, "the driver gave no handle")


def address_of(raw: Any) -> int:
    """The number that a handle of the driver is; 0 for none."""
    return ctypes.cast(raw, ctypes.c_void_p).value or 0


class Calls:
    """
    The library, behind what its calls have in common.

    Raises DriverError, from the constructor too (pynvml missing or the wrong one).
    """

    def __init__(self) -> None:
        self._nvml = _load()
        self._older: set[tuple[str, int]] = set()

    @contextmanager
    def _converting(self) -> Iterator[None]:
        try:
            yield
        except self._nvml.NVMLError as error:
            raise DriverError(cast("Any", error).value, str(error)) from None
        except (self._nvml.NVMLLibraryMismatchError, AttributeError):
            # AttributeError: a pynvml or a library from before the call.
            raise DriverError(Code.FUNCTION_NOT_FOUND, "Function Not Found") from None

    def _newest(self, name: str, handle: Handle, newer: Callable[[], T], older: Callable[[], T]) -> T:
        """The answer of `newer`, or where that is not for this driver or GPU, now and later, of `older`."""
        key = name, handle.address
        if key not in self._older:
            try:
                with self._converting():
                    return newer()
            except DriverError as error:
                if not error.unsupported:
                    raise
            if len(self._older) >= _REMEMBERED:  # handles of MIG devices that came and went
                self._older.clear()
            self._older.add(key)
        with self._converting():
            return older()

    def _text(self, call: Callable[[], str | bytes]) -> str:
        """The answer of `call` as text: pynvml decodes, but strictly."""
        try:
            with self._converting():
                answer = call()
        except UnicodeDecodeError as error:
            answer = error.object
        return answer if isinstance(answer, str) else answer.decode("utf-8", "replace")


def _load() -> Pynvml:
    # Late: the commands that need no driver should not pay for the import, 46 ms.
    try:
        import pynvml  # noqa: PLC0415, TID251  # the one importer
    except ImportError as error:
        raise DriverError(Code.NO_BINDING, str(error)) from None
    if hasattr(pynvml, "__path__"):
        # The official one is a single file; a package is the abandoned `pynvml` <= 11.5 of the same name.
        raise DriverError(Code.SHADOWED_BINDING, str(pynvml.__file__))
    return cast("Pynvml", pynvml)
