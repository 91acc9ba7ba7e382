"""How a mail fails."""

from __future__ import annotations

import pytest

from gpuwatch_tray.notify.transport import TransportError


def send_failure(transport, message) -> TransportError:
    """Send a mail that must fail; return its error, whose text is one line."""
    with pytest.raises(TransportError) as caught:
        transport.send(message)
    assert "\n" not in str(caught.value)
    return caught.value
