"""Sums over the last minutes, in bounded space."""

from __future__ import annotations

from dataclasses import dataclass

SLICES = 20


@dataclass(frozen=True, slots=True)
class Window:
    """
    Amounts by slices of time: a window is as long as `SLICES` of them.

    `slices` are (number of the slice, amount), oldest first. The time is seconds on any clock that does not
    go back.
    """

    slices: tuple[tuple[int, float], ...] = ()

    def add(self, at: float, length: float, amount: float) -> Window:
        """Return the window with `amount` more at `at`, without what is older than `length` seconds."""
        now = int(at // (length / SLICES))
        kept = [entry for entry in self.slices if now - SLICES < entry[0] <= now]
        if amount:
            before = kept.pop()[1] if kept and kept[-1][0] == now else 0.0
            kept.append((now, before + amount))
        return Window(tuple(kept))

    def total(self, at: float, length: float) -> float:
        """Sum the amounts of the last `length` seconds."""
        now = int(at // (length / SLICES))
        return sum(amount for number, amount in self.slices if number > now - SLICES)


EMPTY_WINDOW = Window()
