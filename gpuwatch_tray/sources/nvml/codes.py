"""The error codes of the driver, and the exception that carries them."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """The codes that are told apart: NVML's (nvml.h, nvmlReturn_t), and two for a missing or wrong pynvml."""

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

    @property
    def unsupported(self) -> bool:
        """Whether this driver or GPU does not have the call, so that nothing is wrong."""
        return self.code in _OTHER_VERSION
