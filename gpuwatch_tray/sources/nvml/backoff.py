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
        """Whether it is time to try."""
        return now >= self._next

    def miss(self, now: float) -> None:
        """A try failed."""
        self._next = now + self._wait
        self._wait = min(max(2 * self._wait, self._first), self._most)

    def reset(self) -> None:
        """A try did not fail."""
        self._next, self._wait = float("-inf"), 0.0
