"""The NVML source on the test driver."""

from __future__ import annotations

import pytest

from tests.driver.scenario import loaded
from tests.sources.nvml_rig import Rig


@pytest.fixture
def rig(tmp_path):
    """A rig whose driver plays one idle GPU."""
    with loaded(tmp_path / "scenario") as path:
        made = Rig(path)
        yield made
        made.source.close()
