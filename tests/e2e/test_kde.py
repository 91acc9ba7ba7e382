"""The tray on KDE Plasma, X11 and nested Wayland."""

from __future__ import annotations

import pytest

from tests.e2e.kde import kde
from tests.e2e.shell_tests import LARGE_WAYLAND, LARGE_X11, SMALL_WAYLAND, SMALL_X11, TrayOnShell

pytestmark = pytest.mark.desktop


@pytest.fixture(scope="module", params=[SMALL_X11, SMALL_WAYLAND], ids=lambda form: form.name)
def desk(request, tmp_path_factory):
    with kde(tmp_path_factory.mktemp("kde"), request.param) as running:
        yield running


@pytest.fixture(params=[LARGE_X11, LARGE_WAYLAND], ids=lambda form: form.name)
def large(request, tmp_path):
    with kde(tmp_path / "large", request.param) as running:
        yield running


class TestTray(TrayOnShell):
    """All that holds on every desktop."""
