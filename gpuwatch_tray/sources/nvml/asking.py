"""One GPU asked call by call, and the answers that are kept because they seldom or never change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from gpuwatch_tray.model import UNKNOWN, UNSUPPORTED, Field, Missing, Why
from gpuwatch_tray.sources.nvml.codes import Code, DriverError
from gpuwatch_tray.sources.nvml.problems import LOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.sources.nvml.api import Handle

T = TypeVar("T")
U = TypeVar("U")

SLOW = 12  # reads between two of the values that hardly change: a minute at the default interval


class Asking:
    """Calls about one GPU, and whether it answered any of them: "not supported" is an answer too."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.answered = False
        self.error: DriverError | None = None

    def field(self, call: Callable[[Handle], T]) -> Field[T]:
        """The value of `call`, or how it is missing. Raises DriverError where the GPU is lost."""
        return self.tell(call)[0]

    def tell(self, call: Callable[[Handle], T]) -> tuple[Field[T], DriverError | None]:
        """The same, with what is wrong, if anything is."""
        try:
            value = call(self.handle)
        except DriverError as error:
            if error.code in LOST:
                raise
            if error.unsupported:
                self.answered = True
                return UNSUPPORTED, None
            self.error = error
            return Missing(Why.ERROR, error.text), error
        self.answered = True
        return value, None


class Kept(Generic[T]):
    """
    A value that is asked once, if it is `lasting`, else every SLOW reads, in their `place`.

    Each has a place of its own, so that they do not all fall on one read. One that failed is asked again at
    the next read, save where it is forbidden: that lasts, in a container for ever.
    """

    __slots__ = ("_lasting", "_place", "_soon", "value")

    def __init__(self, place: int, *, lasting: bool = False) -> None:
        self.value: Field[T] = UNKNOWN
        self._place = place
        self._lasting = lasting
        self._soon = True

    def ask(self, asking: Asking, call: Callable[[Handle], T], reads: int) -> Field[T]:
        """The value, asked anew where it is time; `reads` counts those of this GPU."""
        turn = reads >= SLOW and reads % SLOW == self._place
        failed = isinstance(self.value, Missing) and self.value.why is Why.ERROR
        if self._soon or (turn and (failed or not self._lasting)):
            self.value, error = asking.tell(call)
            self._soon = error is not None and error.code != Code.NO_PERMISSION
        return self.value


def both(pair: Field[tuple[T, U]]) -> tuple[Field[T], Field[U]]:
    """The two values that one call gives, missing alike."""
    return (pair, pair) if isinstance(pair, Missing) else pair
