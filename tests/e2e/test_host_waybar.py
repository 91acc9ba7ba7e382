"""The tray on waybar, in a sway of its own; no keys reach its menu."""

from __future__ import annotations

import pytest

from tests.e2e.host_tests import TrayOnHost
from tests.e2e.hosts import WAYBAR_HOST

pytestmark = pytest.mark.desktop


class TestTray(TrayOnHost):
    """All that holds on every panel."""

    HOST = WAYBAR_HOST
