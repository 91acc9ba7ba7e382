"""The tray on GNOME Shell with the AppIndicator extension, X11 and nested Wayland."""

from __future__ import annotations

import pytest

from gpuwatch_tray import drawing
from tests.e2e.gnome import gnome
from tests.e2e.peers import running_tray
from tests.e2e.shell_tests import (
    HEADLINE,
    LARGE_WAYLAND,
    LARGE_X11,
    OK,
    SMALL_WAYLAND,
    SMALL_X11,
    WARNING,
    TrayOnShell,
    looks,
)
from tests.support.tray_status import gpu, snapshot, status

pytestmark = pytest.mark.desktops


@pytest.fixture(scope="module", params=[SMALL_X11, SMALL_WAYLAND], ids=lambda form: form.name)
def desk(request, tmp_path_factory):
    with gnome(tmp_path_factory.mktemp("gnome"), request.param) as running:
        yield running


@pytest.fixture(params=[LARGE_X11, LARGE_WAYLAND], ids=lambda form: form.name)
def large(request, tmp_path):
    with gnome(tmp_path / "large", request.param) as running:
        yield running


class TestTray(TrayOnShell):
    """All that holds on every desktop, and what GNOME does with a label."""

    def test_lines_stand_between_the_rows_that_they_part(self, desk, tray):
        """Also after rows have come and gone."""
        calm = status(headline=HEADLINE, shown=snapshot([gpu(0)], []))
        desk.open_menu(WARNING)
        desk.close_menu()
        for told in (calm, looks()):
            tray.show(told)
            colour = drawing.COLOURS[told.level]
            desk.open_menu(colour)
            served = [row.label for row in desk.menu()]
            desk.shows(*filter(None, served))
            assert [row.label for row in desk.seen_lines()] == served
            desk.close_menu()

    def test_underscores_are_shown_as_they_are(self, desk):
        """As many as a setting's name has, wherever they stand."""
        words = "GPU_COUNT(3) > GPU_LIMIT(2): MAX_ETIME_MIN"
        with running_tray(desk.address, desk.client, status(headline=words)):
            assert desk.open_menu(OK)[0].label == words
            desk.close_menu()
        desk.icon_gone(OK)
