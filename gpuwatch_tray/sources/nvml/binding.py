"""The driver: its session, its GPUs, their processes and events."""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.model import ProcessKind
from gpuwatch_tray.sources.nvml.api import Handle, address_of
from gpuwatch_tray.sources.nvml.codes import Code, DriverError
from gpuwatch_tray.sources.nvml.values import DeviceValues

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_NAMES = {ProcessKind.COMPUTE: "Compute", ProcessKind.GRAPHICS: "Graphics", ProcessKind.MPS: "MPSCompute"}
_INFO = struct.Struct("@IQII")  # nvmlProcessInfo_v2_t: PID, memory, and the two instances of a MIG device
_NO_MEMORY = 2**64 - 1  # NVML_VALUE_NOT_AVAILABLE
_MAX_PROCESSES = 2**16  # processes on one GPU: more are a driver gone astray, not a reason to fill the memory


class Driver(DeviceValues):
    """
    The calls of NVML that are used here.

    Raises DriverError from everything, the constructor included (pynvml missing or the wrong one).
    """

    def __init__(self) -> None:
        super().__init__()
        self._buffer = ctypes.create_string_buffer(_INFO.size * 64)

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
        """
        Return PID and memory (None where the driver gives none) of the processes of one kind, in one call.

        pynvml makes two calls and an object for each process, which would take most of the time of a read.
        """
        function = f"nvmlDeviceGet{_NAMES[kind]}RunningProcesses_v"

        def version(number: int) -> Callable[[], Sequence[tuple[int, int | None]]]:
            return lambda: self._list_processes(f"{function}{number}", handle.raw)

        # The third version came with driver 510, the second with 460; the struct is the same.
        return self._newest(function, handle, version(3), version(2))

    def _list_processes(self, name: str, raw: Any) -> Sequence[tuple[int, int | None]]:
        with self._converting():
            count = self._fill_buffer(getattr(self._nvml.nvmlLib, name), raw)
        filled = memoryview(self._buffer)[: _INFO.size * min(count, len(self._buffer) // _INFO.size)]
        return [
            (pid, None if memory == _NO_MEMORY else memory) for pid, memory, _, _ in _INFO.iter_unpack(filled)
        ]

    def _fill_buffer(self, call: Any, raw: Any) -> int:
        """Have the driver write a list into the buffer, which grows until it fits; return its length."""
        code = Code.INSUFFICIENT_SIZE
        while code == Code.INSUFFICIENT_SIZE:
            count = ctypes.c_uint(len(self._buffer) // _INFO.size)
            code = call(raw, ctypes.byref(count), self._buffer)
            if code == Code.INSUFFICIENT_SIZE:
                # At least twice as much: asking only for what there was may never catch up.
                room = max(count.value, 2 * len(self._buffer) // _INFO.size)
                if room > _MAX_PROCESSES:
                    break
                self._buffer = ctypes.create_string_buffer(_INFO.size * room)
        if code:
            raise self._nvml.NVMLError(int(code))
        return count.value

    def create_events(self) -> Any:
        """Return an event set; it must be freed before `close`."""
        return self._call("nvmlEventSetCreate")

    def register(self, handle: Handle, events: Any) -> None:
        """Have the Xid errors of a GPU arrive in an event set from now on."""
        self._call("nvmlDeviceRegisterEvents", handle.raw, "nvmlEventTypeXidCriticalError", events)

    def wait(self, events: Any, seconds: float) -> tuple[int, int] | None:
        """Wait for an Xid; return its GPU (the address of the handle) and number, or None after that time."""
        try:
            event = self._call("nvmlEventSetWait_v2", events, round(1000 * seconds))
        except DriverError as error:
            if error.code == Code.TIMEOUT:
                return None
            raise
        if not event.eventType & self._nvml.nvmlEventTypeXidCriticalError:
            return None
        return address_of(event.device), int(event.eventData)

    def free_events(self, events: Any) -> None:
        """Free an event set that no thread waits for."""
        self._call("nvmlEventSetFree", events)
