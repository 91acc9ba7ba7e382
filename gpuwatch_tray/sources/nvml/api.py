"""The calls of the driver that are used here, behind a narrow typed interface; each raises DriverError."""

from __future__ import annotations

import ctypes
import struct
import sys
from ctypes import byref, c_int, c_uint, c_uint64, c_void_p
from typing import TYPE_CHECKING, Any, TypeVar

from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import MAX_POWER, ClockLimit, ProcessKind
from gpuwatch_tray.sources.nvml.library import (
    Code,
    DriverError,
    EventData,
    FieldValue,
    Handle,
    Library,
    Memory,
    MemoryV2,
    PciInfo,
    Temperature,
    Utilization,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


T = TypeVar("T")
U = TypeVar("U")
Number = TypeVar("Number", int, float)

_MAX_OLDER = 512  # calls of which it is known that only their older version answers
_TEXT_SIZE = 96  # bytes: NVML_DEVICE_NAME_V2_BUFFER_SIZE, the longest


class Calls:
    """What the calls of the library have in common."""

    def __init__(self) -> None:
        self._library = Library()
        self._older: dict[tuple[str, int], int] = {}

    def _call(self, name: str, *arguments: Any) -> None:
        self._library.call(name, *arguments)

    def _number(self, name: str, *arguments: Any, kind: Any = c_uint) -> int:
        """Return the number that a function writes to its last argument."""
        number = kind()
        self._library.call(name, *arguments, byref(number))
        return int(number.value)

    def _text(self, name: str, *arguments: Any) -> str:
        """Return the text that a function writes; what is no UTF-8 in it is replaced."""
        text = ctypes.create_string_buffer(_TEXT_SIZE)
        self._library.call(name, *arguments, text, c_uint(_TEXT_SIZE))
        return text.value.decode("utf-8", "replace")

    def _handle(self, name: str, *arguments: Any) -> Handle:
        """Return the handle that a function writes."""
        raw = c_void_p()
        self._library.call(name, *arguments, byref(raw))
        return Handle(raw)

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


_ALL_LIMITS = sum(ClockLimit)

# What a value can be: drivers answer with success and all ones, other units or a misread struct.
MAX_MEMORY = 2**49  # bytes: the virtual addresses of a GPU have 49 bits since Pascal (Tesla P100 whitepaper)
MAX_EXCURSION = 3  # times its limit that a board may draw for a moment (PCIe CEM 5.0, power excursions)
_MAX_ENERGY = MAX_POWER * 10 * 365 * 86_400  # J in ten years at that power
_TEMPERATURES = -55, 150  # degrees C: the range of the sensors' own data sheets (such as TI's TMP411)
_MAX_FAN = 200  # %: "may exceed 100% in certain cases" (nvml.h)
_CHIP = 0  # NVML_TEMPERATURE_GPU
_SLOWDOWN = 1  # NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
_CORRECTED, _UNCORRECTED = 0, 1  # nvmlMemoryErrorType_t
_SINCE_LOADED = 0  # NVML_VOLATILE_ECC
_XID = 8  # nvmlEventTypeXidCriticalError
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
        return self._number("nvmlDeviceGetIndex", handle.raw)

    def pci(self, handle: Handle) -> str:
        """Read the address on the PCI bus as the kernel writes it: 0000:01:00.0."""
        pci = PciInfo()
        self._call("nvmlDeviceGetPciInfo_v3", handle.raw, byref(pci))
        return f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0"

    def memory(self, handle: Handle) -> tuple[int, int]:
        """Read memory used and in all, in bytes. The older call counts what is reserved as used."""
        memory = self._newest("memory", handle, lambda read: read(handle), (self._memory_v2, self._memory))
        if not memory.total:  # GPUs that share the machine's memory
            raise DriverError(Code.NOT_SUPPORTED, "Not Supported")
        total = bounded(int(memory.total), 0, MAX_MEMORY)
        return bounded(int(memory.used), 0, total), total

    def _memory_v2(self, handle: Handle) -> MemoryV2 | Memory:
        memory = MemoryV2(version=version_of(MemoryV2, 2))
        self._call("nvmlDeviceGetMemoryInfo_v2", handle.raw, byref(memory))
        return memory

    def _memory(self, handle: Handle) -> MemoryV2 | Memory:
        memory = Memory()
        self._call("nvmlDeviceGetMemoryInfo", handle.raw, byref(memory))
        return memory

    def utilisation(self, handle: Handle) -> int:
        """Read the share of the last sample period in which a kernel ran, in %."""
        utilisation = Utilization()
        self._call("nvmlDeviceGetUtilizationRates", handle.raw, byref(utilisation))
        return bounded(int(utilisation.gpu), 0, 100)

    def temperature(self, handle: Handle) -> int:
        """Read the temperature of the chip, in degrees C. The older call goes away with CUDA 14."""
        versions = self._temperature_v1, self._temperature
        degrees = self._newest("temperature", handle, lambda read: read(handle), versions)
        return bounded(degrees, *_TEMPERATURES)

    def _temperature_v1(self, handle: Handle) -> int:
        read = Temperature(version=version_of(Temperature, 1), sensor=_CHIP)
        self._call("nvmlDeviceGetTemperatureV", handle.raw, byref(read))
        return int(read.temperature)

    def _temperature(self, handle: Handle) -> int:
        # declared without a sign, which it has
        return self._number("nvmlDeviceGetTemperature", handle.raw, c_uint(_CHIP), kind=c_int)

    def slowdown_at(self, handle: Handle) -> int:
        """Read the temperature, in degrees C, from which the hardware slows itself down."""
        degrees = self._number("nvmlDeviceGetTemperatureThreshold", handle.raw, c_uint(_SLOWDOWN))
        if not 0 < degrees <= _TEMPERATURES[1]:  # no temperature: every GPU, or none, would be too hot
            raise DriverError(Code.NOT_SUPPORTED, "Not Supported")
        return degrees

    def power(self, handle: Handle) -> float:
        """Read the power drawn now, in W (NVML: mW)."""
        return bounded(self._number("nvmlDeviceGetPowerUsage", handle.raw) / 1000, 0, MAX_POWER)

    def energy(self, handle: Handle) -> float:
        """Read the energy drawn since the driver was loaded, in J (NVML: mJ)."""
        millijoules = self._number("nvmlDeviceGetTotalEnergyConsumption", handle.raw, kind=c_uint64)
        return bounded(millijoules / 1000, 0, _MAX_ENERGY)

    def power_limit(self, handle: Handle) -> float:
        """Read the power limit in force, in W (NVML: mW)."""
        return bounded(self._number("nvmlDeviceGetEnforcedPowerLimit", handle.raw) / 1000, 0, MAX_POWER)

    def fan(self, handle: Handle) -> int:
        """Read the intended fan speed, in % of the full one."""
        return bounded(self._number("nvmlDeviceGetFanSpeed", handle.raw), 0, _MAX_FAN)

    def limited_by(self, handle: Handle) -> ClockLimit:
        """Read what keeps the clocks down. Until driver 535 the call had another name."""
        bits = self._newest(
            "clocks",
            handle,
            lambda call: self._number(call, handle.raw, kind=c_uint64),
            ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"),
        )
        return ClockLimit(bits & _ALL_LIMITS)

    def ecc_corrected(self, handle: Handle) -> int:
        """Read how many memory errors were corrected since the driver was loaded."""
        return self._ecc_errors(handle, _CORRECTED)

    def ecc_uncorrected(self, handle: Handle) -> int:
        """Read how many memory errors could not be corrected since the driver was loaded."""
        return self._ecc_errors(handle, _UNCORRECTED)

    def _ecc_errors(self, handle: Handle, which: int) -> int:
        asked = handle.raw, c_uint(which), c_uint(_SINCE_LOADED)
        return bounded(self._number("nvmlDeviceGetTotalEccErrors", *asked, kind=c_uint64), 0, _MAX_ERRORS)

    def rows(self, handle: Handle) -> tuple[bool, bool]:
        """Read whether memory rows wait to be remapped at the next reset, and whether that failed."""
        corrected, uncorrected, pending, failed = (c_uint() for _ in range(4))
        counts = map(byref, (corrected, uncorrected, pending, failed))
        self._call("nvmlDeviceGetRemappedRows", handle.raw, *counts)
        return bounded(pending.value, 0, 1) == 1, bounded(failed.value, 0, 1) == 1

    def recovery(self, handle: Handle) -> int:
        """Read what must be done so that the GPU works: 0 nothing (nvml.h, nvmlDeviceGpuRecoveryAction_t)."""
        field = FieldValue(field=_RECOVERY_FIELD)
        self._call("nvmlDeviceGetFieldValues", handle.raw, c_int(1), byref(field))
        if field.code == Code.INVALID_ARGUMENT:  # a driver from before this field
            raise self._library.error(Code.NOT_SUPPORTED)
        if field.code:
            raise self._library.error(field.code)
        return bounded(int(field.value), 0, _MAX_RECOVERY)

    def pcie_width(self, handle: Handle) -> int:
        """Read the PCIe lanes in use now."""
        return bounded(self._number("nvmlDeviceGetCurrPcieLinkWidth", handle.raw), 0, _MAX_LANES)

    def pcie_width_most(self, handle: Handle) -> int:
        """Read the PCIe lanes that the GPU and its slot can use: 8 for a GPU of 16 in a slot of 8."""
        return bounded(self._number("nvmlDeviceGetMaxPcieLinkWidth", handle.raw), 0, _MAX_LANES)

    def mig_mode(self, handle: Handle) -> bool:
        """Read whether the GPU is divided into MIG devices, or will be: whole, it then computes nothing."""
        current, pending = c_uint(), c_uint()
        self._call("nvmlDeviceGetMigMode", handle.raw, byref(current), byref(pending))
        return bool(current.value)

    def mig_slots(self, handle: Handle) -> int:
        """Read how many MIG devices a GPU in MIG mode can have."""
        return self._number("nvmlDeviceGetMaxMigDeviceCount", handle.raw)


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
        self._call("nvmlInitWithFlags", c_uint(0))

    def close(self) -> None:
        """Shut NVML down; the library stays loaded."""
        self._call("nvmlShutdown")

    def library_version(self) -> str:
        """Return the library's version, such as "12.550.54.14"; at any time."""
        return self._text("nvmlSystemGetNVMLVersion")

    def count(self) -> int:
        """Return how many GPUs the driver lists, lost ones included as long as it does."""
        return self._number("nvmlDeviceGetCount_v2")

    def by_index(self, index: int) -> Handle:
        """Return the GPU with that index."""
        return self._handle("nvmlDeviceGetHandleByIndex_v2", c_uint(index))

    def by_pci(self, pci: str) -> Handle:
        """Return the GPU at that address of the PCI bus; no other is woken."""
        return self._handle("nvmlDeviceGetHandleByPciBusId_v2", pci.encode("ascii"))

    def mig_device(self, handle: Handle, slot: int) -> Handle | None:
        """Return the MIG device in that slot of a GPU, if there is one."""
        try:
            return self._handle("nvmlDeviceGetMigDeviceHandleByIndex", handle.raw, c_uint(slot))
        except DriverError as error:
            if error.code == Code.NOT_FOUND:
                return None
            raise

    def processes(self, handle: Handle, kind: ProcessKind) -> Sequence[tuple[int, int | None]]:
        """Return PID and memory (None: not given) of the processes of one kind."""
        name, versions = _LISTS[kind]
        return self._newest(name, handle, lambda call: self._list_processes(call, handle.raw), versions)

    def _list_processes(self, name: str, raw: c_void_p) -> Sequence[tuple[int, int | None]]:
        count = self._fill_buffer(name, raw)
        return [(pid, None if memory == _NO_MEMORY else memory) for pid, memory in self._records(count)]

    def _fill_buffer(self, name: str, raw: c_void_p) -> int:
        """Have the driver write a list into the buffer, which grows until it fits; return its length."""
        while True:
            room = len(self._buffer) // _ROOM
            ctypes.memset(self._buffer, _UNTOUCHED[0], len(self._buffer))
            count = ctypes.c_uint(room)
            code = self._library.code(name, raw, byref(count), self._buffer)
            # At least twice as much: asking only for what there was may never catch up.
            room = max(count.value, 2 * room)
            if code != Code.INSUFFICIENT_SIZE or room > _MAX_PROCESSES:
                break
            self._buffer = ctypes.create_string_buffer(_ROOM * room)
        if code:
            raise self._library.error(code)
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

    def create_events(self) -> c_void_p:
        """Return an event set; it must be freed before `close`."""
        events = c_void_p()
        self._call("nvmlEventSetCreate", byref(events))
        return events

    def register(self, handle: Handle, events: c_void_p) -> None:
        """Have the Xid errors of a GPU arrive in an event set from now on."""
        self._call("nvmlDeviceRegisterEvents", handle.raw, c_uint64(_XID), events)

    def wait(self, events: c_void_p, seconds: float) -> tuple[int, int] | None:
        """Wait for an Xid; return its GPU (the address of the handle) and number, or None after that time."""
        event = EventData()
        milliseconds = c_uint(round(1000 * seconds))
        code = self._library.code("nvmlEventSetWait_v2", events, byref(event), milliseconds)
        if code == Code.TIMEOUT:  # no error is made of what is the usual answer
            return None
        if code:
            raise self._library.error(code)
        return (event.device or 0, int(event.data)) if event.kind & _XID else None

    def free_events(self, events: c_void_p) -> None:
        """Free an event set that no thread waits for."""
        self._call("nvmlEventSetFree", events)
