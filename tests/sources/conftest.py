"""The NVML source on the test driver, and the PID namespace that processes are asked in."""

from __future__ import annotations

import os

import pytest

from gpuwatch_tray.sources import processes
from tests.driver.scenario import loaded
from tests.sources.nvml_rig import Bus, Rig


@pytest.fixture
def rig(tmp_path):
    """Return a rig whose driver plays one idle GPU."""
    with loaded(tmp_path / "scenario") as path:
        made = Rig(path)
        yield made
        made.source.close()


@pytest.fixture
def bus(rig):
    """Return the folders of the kernel and of the driver, which are empty at first."""
    return Bus(rig)


@pytest.fixture
def namespace(monkeypatch):
    """Set the PID namespace of this process, as the system would name it; None: it does not tell."""
    readlink = os.readlink

    def to(name):
        def answer(path, *rest, **more):
            if path != "/proc/self/ns/pid":
                return readlink(path, *rest, **more)
            if name is None:
                raise PermissionError(13, "Permission denied")
            return name

        monkeypatch.setattr(os, "readlink", answer)

    to(processes.FIRST_PID_NAMESPACE)
    return to
