"""Whether the driver's files were replaced while it runs, as an upgrade does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.sources.nvml.codes import Code, DriverError
from gpuwatch_tray.sources.nvml.problems import driver_problem

if TYPE_CHECKING:
    from gpuwatch_tray.model import Problem

MODULE_VERSION = Path("/sys/module/nvidia/version")
MAPS = Path("/proc/self/maps")

_CHECK_EVERY = 12  # readings between two checks: a minute at the default interval
_LIBRARY = "libnvidia-ml.so"
_SONAME = f"{_LIBRARY}.1"  # what programs open; it leads to a file that is named after its version
_VERSION = re.compile(r"\.so\.(\d+\.\d+(?:\.\d+)*)$")


class ReplacementCheck:
    """
    Compares the versions of the library on disk and of the kernel's module; Linux only, without NVML.

    An open session goes on with the old library, and so do the jobs that run: without this check all would
    seem well while no new job can start. `module_version` and `maps` are the files in which Linux tells it.
    """

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

    def check(self) -> Problem | None:
        """Return the problem, if there is one; it is checked anew now and then."""
        if self._readings % _CHECK_EVERY == 0:
            self.problem = self._compare()
        self._readings += 1
        return self.problem

    def _compare(self) -> Problem | None:
        self._folder = self._folder or self._loaded_from()
        library, module = self._on_disk(), self.module
        if not library or not module or library == module:
            return None
        return driver_problem(DriverError(Code.LIB_RM_VERSION_MISMATCH, ""), library, module)

    def _loaded_from(self) -> Path | None:
        """Return the folder of the library that this process has loaded, even when the file is gone."""
        try:
            lines = self._maps.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError:
            return None
        loaded = (line[line.index("/") :] for line in lines if f"/{_LIBRARY}" in line)
        return next((Path(path).parent for path in loaded), None)

    def _on_disk(self) -> str:
        """Return the version that a program would load now; empty where the file's name does not tell it."""
        if self._folder is None:
            return ""
        found = _VERSION.search((self._folder / _SONAME).resolve().name)
        return found[1] if found else ""


def first_line(path: Path) -> str:
    """Read the first line of a small file; empty where there is none."""
    try:
        return path.read_text(encoding="ascii", errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""
