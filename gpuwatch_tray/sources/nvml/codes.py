"""What the driver answers when it does not answer: its codes, and the one exception they arrive as."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """The codes that make a difference: NVML's own (nvml.h, nvmlReturn_t), and two for a missing pynvml."""

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
