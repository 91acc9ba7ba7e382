"""
Whether the driver's files were replaced while it runs, as an upgrade does.

A session that was begun before goes on with the old library, and so do the jobs that run: without a look at
the disk this program would say that all is well while no new job can start. Linux only, and without a call.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.sources.nvml.codes import Code, DriverError
from gpuwatch_tray.sources.nvml.problems import explain

if TYPE_CHECKING:
    from gpuwatch_tray.model import Problem

MODULE_VERSION = Path("/sys/module/nvidia/version")
MAPS = Path("/proc/self/maps")

_LOOKS = 12  # readings between two looks: a minute at the default interval
_NAME = "libnvidia-ml.so"
_SONAME = f"{_NAME}.1"  # what programs open; it leads to a file that is named after its version
_VERSION = re.compile(r"\.so\.(\d+\.\d+(?:\.\d+)*)$")


class Replaced:
    """`problem` is what the last look found; `module_version` and `maps` are where Linux tells."""

    def __init__(self, module_version: Path = MODULE_VERSION, maps: Path = MAPS) -> None:
        self.problem: Problem | None = None
        self._module_version = module_version
        self._maps = maps
        self._folder: Path | None = None
        self._readings = 0

    @property
    def module(self) -> str:
        """The version of the kernel's module; empty where it is not told."""
        return first_line(self._module_version)

    def look(self) -> Problem | None:
        """What is wrong, looked at anew now and then, once the library is loaded."""
        if self._readings % _LOOKS == 0:
            self.problem = self._compared()
        self._readings += 1
        return self.problem

    def _compared(self) -> Problem | None:
        self._folder = self._folder or self._loaded_from()
        library, module = self._on_disk(), self.module
        if not library or not module or library == module:
            return None
        return explain(DriverError(Code.LIB_RM_VERSION_MISMATCH, ""), library, module)

    def _loaded_from(self) -> Path | None:
        """The folder of the library that this process has loaded, also when the file itself is gone."""
        try:
            lines = self._maps.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError:
            return None
        loaded = (line[line.index("/") :] for line in lines if f"/{_NAME}" in line)
        return next((Path(path).parent for path in loaded), None)

    def _on_disk(self) -> str:
        """The version that a program would load now; empty where the file's name does not tell it."""
        if self._folder is None:
            return ""
        found = _VERSION.search((self._folder / _SONAME).resolve().name)
        return found[1] if found else ""


def first_line(path: Path) -> str:
    """What the first line of a small file says; empty where there is none."""
    try:
        return path.read_text(encoding="ascii", errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""
