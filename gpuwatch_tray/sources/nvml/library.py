"""
NVML's C library, as nvml.h describes it: the one module that calls it.

Not by way of pynvml, NVIDIA's own binding: of its thousand functions some thirty are needed here, and to load
it takes 10 ms, a seventh of `ps`, and 2.5 MB of the tray. Every error leaves as a DriverError.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import c_char, c_char_p, c_int, c_int64, c_uint, c_uint64, c_void_p
from enum import IntEnum
from typing import Any, Self


class Code(IntEnum):
    """The codes that are told apart: NVML's (nvml.h, nvmlReturn_t), and a negative one of our own."""

    IMPOSSIBLE = -1  # the call succeeded with a value that cannot be
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


class Handle:
    """The driver's handle of a GPU or MIG device, good until NVML is shut down. `address` tells two apart."""

    __slots__ = ("address", "raw")

    def __init__(self, raw: c_void_p) -> None:
        self.raw = raw
        self.address = raw.value or 0
        if not self.address:  # a call with it would end this process
            raise DriverError(Code.GPU_NOT_FOUND, "the driver gave no handle")


class Memory(ctypes.Structure):
    """nvmlMemory_t, in bytes."""

    _fields_ = (("total", c_uint64), ("free", c_uint64), ("used", c_uint64))


class MemoryV2(ctypes.Structure):
    """nvmlMemory_v2_t, in bytes."""

    _fields_ = (
        ("version", c_uint),
        ("total", c_uint64),
        ("reserved", c_uint64),
        ("free", c_uint64),
        ("used", c_uint64),
    )


class Utilization(ctypes.Structure):
    """nvmlUtilization_t, in %."""

    _fields_ = (("gpu", c_uint), ("memory", c_uint))


class Temperature(ctypes.Structure):
    """nvmlTemperature_v1_t, in degrees C."""

    _fields_ = (("version", c_uint), ("sensor", c_uint), ("temperature", c_int))


class PciInfo(ctypes.Structure):
    """nvmlPciInfo_t."""

    _fields_ = (
        ("legacy_address", c_char * 16),
        ("domain", c_uint),
        ("bus", c_uint),
        ("device", c_uint),
        ("device_id", c_uint),
        ("subsystem_id", c_uint),
        ("address", c_char * 32),
    )


class FieldValue(ctypes.Structure):
    """nvmlFieldValue_t; of its union of values the unsigned one, which begins where all do."""

    _fields_ = (
        ("field", c_uint),
        ("scope", c_uint),
        ("timestamp", c_int64),
        ("latency", c_int64),
        ("kind", c_uint),
        ("code", c_uint),
        ("value", c_uint),
        ("rest", c_uint),
    )


class EventData(ctypes.Structure):
    """nvmlEventData_t."""

    _fields_ = (
        ("device", c_void_p),
        ("kind", c_uint64),
        ("data", c_uint64),
        ("gpu_instance", c_uint),
        ("compute_instance", c_uint),
    )


def version_of(structure: type[ctypes.Structure], number: int) -> int:
    """Return what the driver knows a version of a structure by (nvml.h, NVML_STRUCT_VERSION)."""
    return ctypes.sizeof(structure) | number << 24


class Library:
    """The C library, which is loaded with the first call, and stays so."""

    def __init__(self) -> None:
        self._loaded: ctypes.CDLL | None = None
        self._texts: dict[int, str] = {}

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function; raises DriverError for whatever it returns but success."""
        if code := self.code(name, *arguments):
            raise self.error(code)

    def code(self, name: str, *arguments: Any) -> int:
        """Call a function and return its code; raises DriverError where there is none, or no library."""
        library = self._load()
        try:
            function = getattr(library, name)
        except AttributeError:  # the library is from before the call
            raise DriverError(Code.FUNCTION_NOT_FOUND, "Function Not Found") from None
        return int(function(*arguments))

    def error(self, code: int) -> DriverError:
        """Return the error of a code, with the library's own text."""
        text = self._texts.get(code)
        if text is None:
            name = self._load().nvmlErrorString
            name.restype = c_char_p
            text = self._texts[code] = (name(code) or b"").decode("utf-8", "replace")
        return DriverError(code, text)

    def _load(self) -> ctypes.CDLL:
        if self._loaded is None:
            self._loaded = _open_library()
        return self._loaded


def _open_library() -> ctypes.CDLL:
    """Open the library where the driver has put it; raises DriverError where there is none."""
    for path in _paths():
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    raise DriverError(Code.LIBRARY_NOT_FOUND, "NVML Shared Library Not Found")


def _paths() -> tuple[str, ...]:
    if sys.platform != "win32":
        paths: tuple[str, ...] = ("libnvidia-ml.so.1",)
    else:  # the second: of drivers from before 2019
        paths = (
            os.path.expandvars(r"%SystemRoot%\System32\nvml.dll"),
            os.path.expandvars(r"%ProgramFiles%\NVIDIA Corporation\NVSMI\nvml.dll"),
        )
    return paths
