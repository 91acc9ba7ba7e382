"""The client side of the control socket."""

from __future__ import annotations

import queue
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.control.places import read_key
from gpuwatch_tray.control.wire import (
    LARGEST_ANSWER,
    ControlConnection,
    ControlError,
    NotRunningError,
    RequestRefusedError,
    decode,
    encode,
)
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_RUNNING = (FileNotFoundError, ConnectionRefusedError)


def ask(address: str, request: Mapping[str, Any], timeout: float = 2.0) -> dict[str, Any]:
    """
    Send `request` and return the answer, waiting at most `timeout` seconds.

    Raises NotRunningError where nothing listens, RequestRefusedError for an answer that is an error, else
    ControlError.
    """
    outcome: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    def converse() -> None:
        try:
            outcome.put(_converse(address, encode(request), timeout))
        except (OSError, EOFError, ValueError, TypeError, AssertionError, AuthenticationError) as error:
            outcome.put(error)

    # Connecting has no time limit, and the other process may be stopped: a thread can be left behind.
    threading.Thread(target=converse, name="control-ask", daemon=True).start()
    try:
        answered = outcome.get(timeout=timeout)
    except queue.Empty:
        raise ControlError(_("no answer within {seconds:g} s").format(seconds=timeout)) from None
    if isinstance(answered, NOT_RUNNING):
        raise NotRunningError(_("nothing answers there")) from answered
    if isinstance(answered, EOFError | ConnectionError):
        raise ControlError(_("it hung up without an answer")) from answered
    if isinstance(answered, Exception):
        raise ControlError(_("it cannot be asked: {error}").format(error=answered)) from answered
    answer = decode(answered)
    if "error" in answer:
        raise RequestRefusedError(str(answer["error"]))
    return answer


def _converse(address: str, message: bytes, timeout: float) -> bytes:
    link = ControlConnection(Client(address, authkey=read_key(address)))
    try:
        with link.within(timeout):
            link.connection.send_bytes(message)
            answer: bytes = link.connection.recv_bytes(LARGEST_ANSWER)
            return answer
    finally:
        link.close()
