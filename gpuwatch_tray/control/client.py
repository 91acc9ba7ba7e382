"""The asking side."""

from __future__ import annotations

import queue
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.control import places, wire
from gpuwatch_tray.control.wire import ControlError, Line, NobodyThere, Refused
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Mapping

GONE = (FileNotFoundError, ConnectionRefusedError)


def ask(address: str, request: Mapping[str, Any], timeout: float = 2.0) -> dict[str, Any]:
    """
    The answer to `request` within `timeout` seconds.

    Raises NobodyThere where nothing listens, Refused for an answer that is an error, else ControlError.
    """
    outcome: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    def converse() -> None:
        try:
            outcome.put(_converse(address, wire.encode(request), timeout))
        except (OSError, EOFError, ValueError, TypeError, AssertionError, AuthenticationError) as error:
            outcome.put(error)

    # A thread of its own, for connecting has no time limit: the other side may be stopped.
    threading.Thread(target=converse, name="control-ask", daemon=True).start()
    try:
        answered = outcome.get(timeout=timeout)
    except queue.Empty:
        raise ControlError(_("no answer within {seconds:g} s").format(seconds=timeout)) from None
    if isinstance(answered, GONE):
        raise NobodyThere(_("nothing answers there")) from answered
    if isinstance(answered, EOFError | ConnectionError):
        raise ControlError(_("it hung up without an answer")) from answered
    if isinstance(answered, Exception):
        raise ControlError(_("it cannot be asked: {error}").format(error=answered)) from answered
    answer = wire.decode(answered)
    if "error" in answer:
        raise Refused(str(answer["error"]))
    return answer


def _converse(address: str, message: bytes, timeout: float) -> bytes:
    line = Line(Client(address, authkey=places.key(address)))
    try:
        with line.within(timeout):
            line.connection.send_bytes(message)
            answer: bytes = line.connection.recv_bytes(wire.LARGEST_ANSWER)
            return answer
    finally:
        line.close()
