"""The tray on lxqt-panel."""

from __future__ import annotations

import pytest

from tests.e2e.host_tests import TrayWithKeys
from tests.e2e.hosts import LXQT_HOST

pytestmark = pytest.mark.desktop


class TestTray(TrayWithKeys):
    """All that holds on every panel."""

    HOST = LXQT_HOST
