"""What every test of chats leaves behind: nothing that still waits for a server."""

from __future__ import annotations

import pytest

from gpuwatch_tray.notify.chat import wire
from tests.support.timing import wait_until


@pytest.fixture(autouse=True)
def _nothing_on_the_wire():
    """What was left alone has ended: while it goes on, no other request of the process is let through."""
    yield
    wait_until(lambda: not wire._open, "the end of what was left alone")
