"""A call that may never end, and that nothing can call off: waited for so long and no longer."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T], name: str) -> T:
    """
    What `call` returns or raises; TimeoutError where it has not ended after `seconds`.

    It runs on a thread of this `name`; left behind, that ends with the call or with the process.
    """
    answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((call(), None))
        except Exception as error:  # noqa: BLE001  # it is the caller's
            answers.put((None, error))

    threading.Thread(target=run, name=name, daemon=True).start()
    try:
        answer, error = answers.get(timeout=max(seconds, 0.0))
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return cast("T", answer)  # no error, so an answer
