"""What is said of presence on a compositor that is listened to."""

from __future__ import annotations

from gpuwatch_tray.doctor.environment import check_presence
from tests.desktop.presence.compositors import PlayedCompositor


def said(short, *offered):
    compositor = PlayedCompositor(short, *offered)
    try:
        (line,) = check_presence(None, {**compositor.environment, "PATH": "/nowhere"}, 300.0)
    finally:
        compositor.close()
    return line


def test_a_source_that_has_to_run_for_a_while_is_named(short):
    """It works, though it cannot know yet: no reason to install anything."""
    line = said(short, ("ext_idle_notifier_v1", 1), ("wl_seat", 8))
    assert line.state.value == "ok"
    assert "ext-idle-notify" in line.text


def test_a_compositor_that_cannot_tell_is_a_warning(short):
    """It says what to install."""
    line = said(short, ("wl_seat", 8))
    assert line.state.value == "warning"
    assert "the compositor lacks ext_idle_notifier_v1" in line.text
    assert "swayidle" in line.mend
