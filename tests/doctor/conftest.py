"""A run's context whose parts the tests break."""

from __future__ import annotations

import pytest

from gpuwatch_tray.app.context import RunContext, SourceKind
from gpuwatch_tray.settings import Settings


@pytest.fixture
def ours(tmp_path):
    """Settings with a recipient, and a state that has not been written yet."""
    return Settings(tmp_path / "gpu-watch.env", tmp_path / "state", to_email=("ada@example.org",))


@pytest.fixture
def context(ours):
    return RunContext(ours, (), SourceKind.NVML, "box", "ada")
