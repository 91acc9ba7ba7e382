"""When to try again what has failed."""

from __future__ import annotations


class Backoff:
    """When to try again: at once, then after `first` seconds, then twice as long each time up to `most`."""

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._next = float("-inf")
        self._wait = 0.0

    def due(self, now: float) -> bool:
        """Tell whether it is time to try; `now` is in seconds of any clock that is not set."""
        return now >= self._next

    def failed(self, now: float) -> None:
        """Note a failure: the next try is later."""
        self._next = now + self._wait
        self._wait = min(max(2 * self._wait, self._first), self._most)

    def reset(self) -> None:
        """Note a success: the next try may come at once."""
        self._next, self._wait = float("-inf"), 0.0
