"""Calls about one GPU, values that are kept from read to read, and when to try again what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from gpuwatch_tray.model import UNKNOWN, UNSUPPORTED, Field, Missing, Why
from gpuwatch_tray.sources.nvml.api import Code, DriverError
from gpuwatch_tray.sources.nvml.problems import LOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.sources.nvml.api import Handle


T = TypeVar("T")
U = TypeVar("U")

SLOW_READS = 12  # reads between two calls for a value that hardly changes: a minute at the default interval


class DeviceQuery:
    """Makes calls about one GPU, and notes whether it answered any: "not supported" is an answer too."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.answered = False
        self.error: DriverError | None = None

    def field(self, call: Callable[[Handle], T]) -> Field[T]:
        """Return the value of `call`, or how it is missing. Raises DriverError where the GPU is lost."""
        return self.query(call)[0]

    def query(self, call: Callable[[Handle], T]) -> tuple[Field[T], DriverError | None]:
        """Return what `field` does, and the error, if any. Raises DriverError where the GPU is lost."""
        try:
            value = call(self.handle)
        except DriverError as error:
            if error.code in LOST:
                raise
            if error.unsupported:
                self.answered = True
                return UNSUPPORTED, None
            if error.code == Code.IMPOSSIBLE:
                self.answered = True
            else:
                self.error = error.without_frames()
            return Missing(Why.ERROR, error.text), error
        self.answered = True
        return value, None


class CachedValue(Generic[T]):
    """
    A value that is read once, if it is `lasting`, else every SLOW_READS reads.

    `place` is the read of those on which it is read again: the values do not all fall on one. A call that
    failed is repeated at the next read, unless it is forbidden: that lasts, in a container for ever.
    """

    __slots__ = ("_due", "_lasting", "_place", "value")

    def __init__(self, place: int, *, lasting: bool = False) -> None:
        self.value: Field[T] = UNKNOWN
        self._place = place
        self._lasting = lasting
        self._due = True

    def read(self, query: DeviceQuery, call: Callable[[Handle], T], reads: int) -> Field[T]:
        """Return the value, read anew where it is time; `reads` counts the reads of this GPU."""
        in_turn = reads >= SLOW_READS and reads % SLOW_READS == self._place
        failed = isinstance(self.value, Missing) and self.value.why is Why.ERROR
        if self._due or (in_turn and (failed or not self._lasting)):
            self.value, error = query.query(call)
            self._due = error is not None and error.code != Code.NO_PERMISSION
        return self.value


def split_pair(pair: Field[tuple[T, U]]) -> tuple[Field[T], Field[U]]:
    """Split the answer of a call that gives two values; they are missing alike."""
    return (pair, pair) if isinstance(pair, Missing) else pair


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
