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


def driver_versions(module: Path = MODULE_VERSION) -> str:
    """Write the versions of the library and the kernel's module, as far as known. Needs NVML initialised."""
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
