"""
The driver behind a narrow typed interface; the only importer of pynvml.

Every exception that a call may raise leaves as a DriverError. pynvml's own are no good to keep: NVMLError
cannot be hashed or compared with None, and NVMLLibraryMismatchError is not one of them.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import MAX_POWER, ClockLimit, ProcessKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Code(IntEnum):
    """The codes that are told apart: NVML's (nvml.h, nvmlReturn_t), and negative ones of our own."""

    IMPOSSIBLE = -3  # the call succeeded with a value that cannot be
    NO_BINDING = -1
    SHADOWED_BINDING = -2
    UNINITIALIZED = 1
    INVALID_ARGUMENT = 2
    NOT_SUPPORTED = 3
    NO_PERMISSION = 4
    NOT_FOUND = 6
    INSUFFICIENT_SIZE = 7
    DRIVER_NOT_LOADED = 9
    TIMEOUT = 10
    LIBRARY_NOT_FOUND = 12
    FUNCTION_NOT_FOUND = 13
    GPU_IS_LOST = 15
    RESET_REQUIRED = 16
    OPERATING_SYSTEM = 17
    LIB_RM_VERSION_MISMATCH = 18
    ARGUMENT_VERSION_MISMATCH = 25
    GPU_NOT_FOUND = 28
    UNKNOWN = 999


# This driver or GPU does not have this version of a call; it may have another one.
_OTHER_VERSION = {Code.NOT_SUPPORTED, Code.FUNCTION_NOT_FOUND, Code.ARGUMENT_VERSION_MISMATCH}


class DriverError(Exception):
    """A call of the driver that failed. `code` is one of nvmlReturn_t, or a negative Code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    def without_frames(self) -> Self:
        """Return it to be kept: the frames that it came through hold it in turn, and would live as long."""
        self.__context__ = None
        return self.with_traceback(None)

    @property
    def unsupported(self) -> bool:
        """Whether this driver or GPU does not have the call, so that nothing is wrong."""
        return self.code in _OTHER_VERSION


T = TypeVar("T")
U = TypeVar("U")
Number = TypeVar("Number", int, float)

_MAX_OLDER = 512  # calls of which it is known that only their older version answers


class Handle:
    """The driver's handle of a GPU or MIG device, good until NVML is shut down. `address` tells two apart."""

    __slots__ = ("address", "raw")

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.address = address_of(raw)
        if not self.address:  # a call with it would end this process
            raise DriverError(Code.GPU_NOT_FOUND, "the driver gave no handle")


def address_of(raw: Any) -> int:
    """Return the address that a handle of the driver is; 0 for none."""
    # By its bytes: a cast leaves the handle in a ring with itself, for the collector that seldom comes.
    return ctypes.c_void_p.from_buffer(raw).value or 0


class Calls:
    """The library, and what its calls have in common; raises DriverError, also where pynvml is missing."""

    def __init__(self) -> None:
        self._nvml = _load()
        # AttributeError: a pynvml or a library from before the call.
        self._errors = self._nvml.NVMLError, self._nvml.NVMLLibraryMismatchError, AttributeError
        self._older: dict[tuple[str, int], int] = {}

    def _call(self, name: str, *arguments: Any) -> Any:
        """Return the answer of pynvml's function `name`; a text in the arguments names a constant of it."""
        try:
            values = [getattr(self._nvml, one) if isinstance(one, str) else one for one in arguments]
            return getattr(self._nvml, name)(*values)
        except self._errors as error:
            raise self._converted(error) from None

    def _converted(self, error: Exception) -> DriverError:
        if isinstance(error, self._nvml.NVMLError):
            return DriverError(cast("Any", error).value, str(error))
        return DriverError(Code.FUNCTION_NOT_FOUND, "Function Not Found")

    def _newest(self, name: str, handle: Handle, call: Callable[[U], T], versions: Sequence[U]) -> T:
        """Return the answer of `call` with the first of `versions` that this driver and GPU have."""
        key = name, handle.address
        place = self._older.get(key, 0)
        while True:
            try:
                return call(versions[place])
            except DriverError as error:
                if not error.unsupported or place == len(versions) - 1:
                    raise
            place += 1
            if len(self._older) >= _MAX_OLDER:  # handles of MIG devices that came and went
                self._older.clear()
            self._older[key] = place

    def _text(self, name: str, *arguments: Any) -> str:
        """Return the answer of a function as text: pynvml decodes, but strictly."""
        try:
            answer = self._call(name, *arguments)
        except UnicodeDecodeError as error:
            answer = error.object
        return answer if isinstance(answer, str) else bytes(answer).decode("utf-8", "replace")


def _load() -> Any:
    # Late: the commands that need no driver must not pay for the import, 46 ms.
    try:
        import pynvml
    except ImportError as error:
        raise DriverError(Code.NO_BINDING, str(error)) from None
    if hasattr(pynvml, "__path__"):
        # The official one is a single file; a package is the abandoned `pynvml` <= 11.5 of the same name.
        raise DriverError(Code.SHADOWED_BINDING, str(pynvml.__file__))
    return pynvml


_ALL_LIMITS = sum(ClockLimit)

# What a value can be: drivers answer with success and all ones, other units or a misread struct.
MAX_MEMORY = 2**49  # bytes: the virtual addresses of a GPU have 49 bits since Pascal (Tesla P100 whitepaper)
MAX_EXCURSION = 3  # times its limit that a board may draw for a moment (PCIe CEM 5.0, power excursions)
_MAX_ENERGY = MAX_POWER * 10 * 365 * 86_400  # J in ten years at that power
_TEMPERATURES = -55, 150  # degrees C: the range of the sensors' own data sheets (such as TI's TMP411)
_MAX_FAN = 200  # %: "may exceed 100% in certain cases" (nvml.h)
_RECOVERY_FIELD = 230  # NVML_FI_DEV_GET_GPU_RECOVERY_ACTION
_MAX_RECOVERY = 99  # of which nvml.h of driver 580 names 0 to 7
_MAX_LANES = 32  # PCI Express Base Specification: x1 to x32
_MAX_ERRORS = 2**53  # memory errors: one in each nanosecond for a hundred days


def bounded(value: Number, least: float, most: float) -> Number:
    """Return the value; raises DriverError where it cannot be."""
    if least <= value <= most:
        return value
    raise DriverError(Code.IMPOSSIBLE, impossible(value))


def impossible(value: float) -> str:
    """Say that a value cannot be."""
    return _("impossible reading: {value:g}").format(value=value)


class DeviceValues(Calls):
    """The values of a GPU or MIG device, a call each. Every method raises DriverError where there is none."""

    def uuid(self, handle: Handle) -> str:
        """Read the UUID, which lasts."""
        return self._text("nvmlDeviceGetUUID", handle.raw)

    def name(self, handle: Handle) -> str:
        """Read the product's name, of a MIG device with its profile."""
        return self._text("nvmlDeviceGetName", handle.raw)

    def index(self, handle: Handle) -> int:
        """Read the index among the GPUs."""
        return int(self._call("nvmlDeviceGetIndex", handle.raw))

    def pci(self, handle: Handle) -> str:
        """Read the address on the PCI bus as the kernel writes it: 0000:01:00.0."""
        pci = self._call("nvmlDeviceGetPciInfo", handle.raw)
        return f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0"

    def memory(self, handle: Handle) -> tuple[int, int]:
        """Read memory used and in all, in bytes. The older call counts what is reserved as used."""
        memory = self._newest(
            "memory",
            handle,
            lambda version: self._call("nvmlDeviceGetMemoryInfo", handle.raw, *version),
            (("nvmlMemory_v2",), ()),
        )
        if not memory.total:  # GPUs that share the machine's memory
            raise DriverError(Code.NOT_SUPPORTED, "Not Supported")
        total = bounded(int(memory.total), 0, MAX_MEMORY)
        return bounded(int(memory.used), 0, total), total

    def utilisation(self, handle: Handle) -> int:
        """Read the share of the last sample period in which a kernel ran, in %."""
        return bounded(int(self._call("nvmlDeviceGetUtilizationRates", handle.raw).gpu), 0, 100)

    def temperature(self, handle: Handle) -> int:
        """Read the temperature of the chip, in degrees C. The older call goes away with CUDA 14."""
        degrees: int = self._newest(
            "temperature",
            handle,
            lambda call: self._call(call, handle.raw, "NVML_TEMPERATURE_GPU"),
            ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"),
        )
        degrees = degrees if degrees < 2**31 else degrees - 2**32  # the older one has no sign
        return bounded(degrees, *_TEMPERATURES)

    def slowdown_at(self, handle: Handle) -> int:
        """Read the temperature, in degrees C, from which the hardware slows itself down."""
        threshold = "NVML_TEMPERATURE_THRESHOLD_SLOWDOWN"
        degrees = int(self._call("nvmlDeviceGetTemperatureThreshold", handle.raw, threshold))
        if not 0 < degrees <= _TEMPERATURES[1]:  # no temperature: every GPU, or none, would be too hot
            raise DriverError(Code.NOT_SUPPORTED, "Not Supported")
        return degrees

    def power(self, handle: Handle) -> float:
        """Read the power drawn now, in W (NVML: mW)."""
        return bounded(float(self._call("nvmlDeviceGetPowerUsage", handle.raw)) / 1000, 0, MAX_POWER)

    def energy(self, handle: Handle) -> float:
        """Read the energy drawn since the driver was loaded, in J (NVML: mJ)."""
        return bounded(
            float(self._call("nvmlDeviceGetTotalEnergyConsumption", handle.raw)) / 1000, 0, _MAX_ENERGY
        )

    def power_limit(self, handle: Handle) -> float:
        """Read the power limit in force, in W (NVML: mW)."""
        return bounded(float(self._call("nvmlDeviceGetEnforcedPowerLimit", handle.raw)) / 1000, 0, MAX_POWER)

    def fan(self, handle: Handle) -> int:
        """Read the intended fan speed, in % of the full one."""
        return bounded(int(self._call("nvmlDeviceGetFanSpeed", handle.raw)), 0, _MAX_FAN)

    def limited_by(self, handle: Handle) -> ClockLimit:
        """Read what keeps the clocks down. Until driver 535 the call had another name."""
        bits = self._newest(
            "clocks",
            handle,
            lambda call: self._call(call, handle.raw),
            ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"),
        )
        return ClockLimit(bits & _ALL_LIMITS)

    def ecc_corrected(self, handle: Handle) -> int:
        """Read how many memory errors were corrected since the driver was loaded."""
        return self._ecc_errors(handle, "NVML_MEMORY_ERROR_TYPE_CORRECTED")

    def ecc_uncorrected(self, handle: Handle) -> int:
        """Read how many memory errors could not be corrected since the driver was loaded."""
        return self._ecc_errors(handle, "NVML_MEMORY_ERROR_TYPE_UNCORRECTED")

    def _ecc_errors(self, handle: Handle, kind: str) -> int:
        count = self._call("nvmlDeviceGetTotalEccErrors", handle.raw, kind, "NVML_VOLATILE_ECC")
        return bounded(int(count), 0, _MAX_ERRORS)

    def rows(self, handle: Handle) -> tuple[bool, bool]:
        """Read whether memory rows wait to be remapped at the next reset, and whether that failed."""
        _corrected, _uncorrected, pending, failed = self._call("nvmlDeviceGetRemappedRows", handle.raw)
        return bounded(int(pending), 0, 1) == 1, bounded(int(failed), 0, 1) == 1

    def recovery(self, handle: Handle) -> int:
        """Read what must be done so that the GPU works: 0 nothing (nvml.h, nvmlDeviceGpuRecoveryAction_t)."""
        (field,) = self._call("nvmlDeviceGetFieldValues", handle.raw, [_RECOVERY_FIELD])
        if field.nvmlReturn == Code.INVALID_ARGUMENT:  # a driver from before this field
            raise DriverError(Code.NOT_SUPPORTED, "Not Supported")
        if field.nvmlReturn:
            raise DriverError(field.nvmlReturn, str(self._nvml.NVMLError(field.nvmlReturn)))
        return bounded(int(field.value.uiVal), 0, _MAX_RECOVERY)

    def pcie_width(self, handle: Handle) -> int:
        """Read the PCIe lanes in use now."""
        return bounded(int(self._call("nvmlDeviceGetCurrPcieLinkWidth", handle.raw)), 0, _MAX_LANES)

    def pcie_width_most(self, handle: Handle) -> int:
        """Read the PCIe lanes that the GPU and its slot can use: 8 for a GPU of 16 in a slot of 8."""
        return bounded(int(self._call("nvmlDeviceGetMaxPcieLinkWidth", handle.raw)), 0, _MAX_LANES)

    def mig_mode(self, handle: Handle) -> bool:
        """Read whether the GPU is divided into MIG devices, or will be: whole, it then computes nothing."""
        return bool(self._call("nvmlDeviceGetMigMode", handle.raw)[0])

    def mig_slots(self, handle: Handle) -> int:
        """Read how many MIG devices a GPU in MIG mode can have."""
        return int(self._call("nvmlDeviceGetMaxMigDeviceCount", handle.raw))


_NAMES = {ProcessKind.COMPUTE: "Compute", ProcessKind.GRAPHICS: "Graphics", ProcessKind.MPS: "MPSCompute"}
# The third version came with driver 510, the second with 460; before, there was the first alone.
_LISTS = {
    kind: (name, [f"nvmlDeviceGet{name}RunningProcesses{version}" for version in ("_v3", "_v2", "")])
    for kind, name in _NAMES.items()
}
# PID and memory begin each record; two instances of a MIG device follow in the second and third version. But
# drivers 535.43 to 535.86 write a fifth field, and driver 550 in some containers the first version's records,
# both under the third's name (NVIDIA/go-nvml#75, wookayin/gpustat#157 and #161).
_RECORDS = {width: struct.Struct(f"=I4xQ{width - 16}x") for width in (24, 32, 16)}
_ROOM = 64  # bytes of the buffer for each record: more than any driver writes
_UNTOUCHED = b"\xa5" * 8  # what the buffer is filled with, to see how far the driver wrote
MAX_PID = 2**22 if sys.platform == "linux" else 2**32 - 2  # Linux' PID_MAX_LIMIT
_NO_MEMORY = 2**64 - 1  # NVML_VALUE_NOT_AVAILABLE
_MAX_PROCESSES = 2**16  # processes on one GPU: more are a driver gone astray, not a reason to fill the memory


class Driver(DeviceValues):
    """The calls of NVML that are used here; each raises DriverError, the constructor too."""

    def __init__(self) -> None:
        super().__init__()
        self._buffer = ctypes.create_string_buffer(_ROOM * 64)

    def open(self) -> None:
        """Load the library if need be, and initialise it. Older handles are void."""
        self._call("nvmlInit")

    def close(self) -> None:
        """Shut NVML down; the library stays loaded."""
        self._call("nvmlShutdown")

    def library_version(self) -> str:
        """Return the library's version, such as "12.550.54.14"; at any time."""
        return self._text("nvmlSystemGetNVMLVersion")

    def count(self) -> int:
        """Return how many GPUs the driver lists, lost ones included as long as it does."""
        return int(self._call("nvmlDeviceGetCount"))

    def by_index(self, index: int) -> Handle:
        """Return the GPU with that index."""
        return Handle(self._call("nvmlDeviceGetHandleByIndex", index))

    def by_pci(self, pci: str) -> Handle:
        """Return the GPU at that address of the PCI bus; no other is woken."""
        return Handle(self._call("nvmlDeviceGetHandleByPciBusId", pci.encode("ascii")))

    def mig_device(self, handle: Handle, slot: int) -> Handle | None:
        """Return the MIG device in that slot of a GPU, if there is one."""
        try:
            return Handle(self._call("nvmlDeviceGetMigDeviceHandleByIndex", handle.raw, slot))
        except DriverError as error:
            if error.code == Code.NOT_FOUND:
                return None
            raise

    def processes(self, handle: Handle, kind: ProcessKind) -> Sequence[tuple[int, int | None]]:
        """Return PID and memory (None: not given) of the processes of one kind, faster than by pynvml."""
        name, versions = _LISTS[kind]
        return self._newest(name, handle, lambda call: self._list_processes(call, handle.raw), versions)

    def _list_processes(self, name: str, raw: Any) -> Sequence[tuple[int, int | None]]:
        try:
            count = self._fill_buffer(getattr(self._nvml.nvmlLib, name), raw)
        except self._errors as error:
            raise self._converted(error) from None
        return [(pid, None if memory == _NO_MEMORY else memory) for pid, memory in self._records(count)]

    def _fill_buffer(self, call: Any, raw: Any) -> int:
        """Have the driver write a list into the buffer, which grows until it fits; return its length."""
        while True:
            room = len(self._buffer) // _ROOM
            ctypes.memset(self._buffer, _UNTOUCHED[0], len(self._buffer))
            count = ctypes.c_uint(room)
            code = call(raw, ctypes.byref(count), self._buffer)
            # At least twice as much: asking only for what there was may never catch up.
            room = max(count.value, 2 * room)
            if code != Code.INSUFFICIENT_SIZE or room > _MAX_PROCESSES:
                break
            self._buffer = ctypes.create_string_buffer(_ROOM * room)
        if code:
            raise self._nvml.NVMLError(int(code))
        return count.value

    def _records(self, count: int) -> Iterable[tuple[int, int]]:
        """Return PID and memory of each record in the buffer, by the width that the driver wrote."""
        if not count:
            return ()
        filled = memoryview(self._buffer)
        if count * _ROOM <= len(filled):
            for width, record in _RECORDS.items():
                end = width * count
                edge = filled[end - 8 : end + 8].tobytes()
                if edge[:8] != _UNTOUCHED and edge[8:] == _UNTOUCHED:
                    return record.iter_unpack(filled[:end])
            # It wrote more, or less, than its records: by the width that makes every PID possible.
            for record in _RECORDS.values():
                records = list(record.iter_unpack(filled[: record.size * count]))
                if all(0 < pid <= MAX_PID for pid, _memory in records):
                    return records
        raise DriverError(Code.IMPOSSIBLE, _("a list with records of unknown size"))

    def create_events(self) -> Any:
        """Return an event set; it must be freed before `close`."""
        return self._call("nvmlEventSetCreate")

    def register(self, handle: Handle, events: Any) -> None:
        """Have the Xid errors of a GPU arrive in an event set from now on."""
        self._call("nvmlDeviceRegisterEvents", handle.raw, "nvmlEventTypeXidCriticalError", events)

    def wait(self, events: Any, seconds: float) -> tuple[int, int] | None:
        """
        Wait for an Xid; return its GPU (the address of the handle) and number, or None after that time.

        Without pynvml, for which the end of that time is an error to be made, worded and raised: of all
        answers it is the usual one.
        """
        event = self._nvml.c_nvmlEventData_t()
        try:
            wait = self._nvml.nvmlLib.nvmlEventSetWait_v2
            code = wait(events, ctypes.byref(event), ctypes.c_uint(round(1000 * seconds)))
            if code == Code.TIMEOUT:
                return None
            if code:
                raise self._nvml.NVMLError(int(code))
        except self._errors as error:
            raise self._converted(error) from None
        if not event.eventType & self._nvml.nvmlEventTypeXidCriticalError:
            return None
        return address_of(event.device), int(event.eventData)

    def free_events(self, events: Any) -> None:
        """Free an event set that no thread waits for."""
        self._call("nvmlEventSetFree", events)
