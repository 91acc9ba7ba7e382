"""Which versions of the driver are at work."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.sources.nvml.binding import Driver
from gpuwatch_tray.sources.nvml.codes import DriverError
from gpuwatch_tray.sources.nvml.problems import driver_version
from gpuwatch_tray.sources.nvml.replaced import MODULE_VERSION, first_line

if TYPE_CHECKING:
    from pathlib import Path


def versions(module: Path = MODULE_VERSION) -> str:
    """The versions of the library and of the kernel's module, once something has been read; those known."""
    library = ""
    with suppress(DriverError):
        library = driver_version(Driver().library_version())
    loaded = first_line(module)
    return ", ".join(
        [
            *([_("library {version}").format(version=library)] if library else []),
            *([_("kernel module {version}").format(version=loaded)] if loaded else []),
        ]
    )
