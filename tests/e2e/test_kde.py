"""The tray on KDE Plasma, X11 and nested Wayland."""

from __future__ import annotations

import pytest

from tests.e2e.kde import kde
from tests.e2e.shell_tests import (
    LARGE_WAYLAND,
    LARGE_X11,
    SMALL_WAYLAND,
    SMALL_X11,
    WARNING,
    TrayOnShell,
)

pytestmark = pytest.mark.desktops


@pytest.fixture(scope="module", params=[SMALL_X11, SMALL_WAYLAND], ids=lambda form: form.name)
def desk(request, tmp_path_factory):
    with kde(tmp_path_factory.mktemp("kde"), request.param) as running:
        yield running


@pytest.fixture(params=[LARGE_X11, LARGE_WAYLAND], ids=lambda form: form.name)
def large(request, tmp_path):
    with kde(tmp_path / "large", request.param) as running:
        yield running


class TestTray(TrayOnShell):
    """All that holds on every desktop, and where Plasma puts a list."""

    @pytest.mark.usefixtures("tray")
    def test_a_list_is_on_the_screen_when_it_is_first_opened(self, desk):
        """Not only the second time; of each of two levels, wholly."""
        desk.open_menu(WARNING)
        for start in ("GPU 0", "python a.py"):
            left, top, right, bottom = desk.open_row(start)[-1].box
            assert 0 <= left < right <= desk.size[0]
            assert 0 <= top < bottom <= desk.size[1]
