"""
The driver behind a narrow typed interface; the only importer of pynvml.

Every exception that a call may raise leaves as a DriverError. pynvml's own are no good to keep: NVMLError
cannot be hashed or compared with None, and NVMLLibraryMismatchError is not one of them.
"""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from gpuwatch_tray.sources.nvml.codes import Code, DriverError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

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
    return ctypes.cast(raw, ctypes.c_void_p).value or 0


class Calls:
    """
    The library, and what its calls have in common.

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

    def _call(self, name: str, *arguments: Any) -> Any:
        """Return the answer of pynvml's function `name`; a text in the arguments names a constant of it."""
        with self._converting():
            values = [getattr(self._nvml, one) if isinstance(one, str) else one for one in arguments]
            return getattr(self._nvml, name)(*values)

    def _newest(self, name: str, handle: Handle, newer: Callable[[], T], older: Callable[[], T]) -> T:
        """Return the answer of `newer`; of `older`, now and later, where this driver or GPU lacks it."""
        key = name, handle.address
        if key not in self._older:
            try:
                return newer()
            except DriverError as error:
                if not error.unsupported:
                    raise
            if len(self._older) >= _MAX_OLDER:  # handles of MIG devices that came and went
                self._older.clear()
            self._older.add(key)
        return older()

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
