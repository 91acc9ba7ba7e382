"""The client side of the control socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuwatch_tray.common.threads import call_with_timeout
from gpuwatch_tray.i18n import _
from gpuwatch_tray.ipc.connections import PipeConnection, SocketConnection
from gpuwatch_tray.ipc.protocol import (
    LARGEST_ANSWER,
    ControlConnection,
    ControlError,
    NotRunningError,
    RequestRefusedError,
    decode,
    encode,
    read_key,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


# NotADirectoryError: the state's folder is a file, so the state and the socket are elsewhere.
NOT_RUNNING = (FileNotFoundError, NotADirectoryError, ConnectionRefusedError)


def ask(address: str, request: Mapping[str, Any], timeout: float = 2.0) -> dict[str, Any]:
    """Send `request` and return the answer; raises a ControlError, NotRunningError where nothing listens."""
    try:
        # Connecting has no time limit, and the other process may be stopped. The connection is cut later than
        # the wait ends: otherwise one that is cut could pass for one that hung up.
        reply = call_with_timeout(
            timeout, lambda: _converse(address, encode(request), timeout + 1.0), "control-ask"
        )
    except NOT_RUNNING as error:
        raise NotRunningError(_("nothing answers there")) from error
    except TimeoutError:
        raise ControlError(_("no answer within {seconds:g} s").format(seconds=timeout)) from None
    except (EOFError, ConnectionError) as error:
        raise ControlError(_("it closed the connection without an answer")) from error
    except (OSError, ValueError, TypeError) as error:
        raise ControlError(_("it cannot be reached: {error}").format(error=error)) from error
    answer = decode(reply)
    if "error" in answer:
        raise RequestRefusedError(str(answer["error"]))
    return answer


def _converse(address: str, message: bytes, timeout: float) -> bytes:
    key = read_key(address)
    link = ControlConnection(
        SocketConnection.connect(address) if key is None else PipeConnection.connect(address, key)
    )
    try:
        with link.within(timeout):
            link.connection.send(message)
            return link.connection.receive(LARGEST_ANSWER)
    finally:
        link.close()
