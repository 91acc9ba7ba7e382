"""What a GPU drew: by its own meter where it has one, else by its power over time."""

from __future__ import annotations


class EnergyMeter:
    """
    Tells the energy of one interval after another.

    The meter is read more seldom than the power. Until it is read anew the power stands in for it, and the
    difference is made good then: the sum is the meter's. Its first value may be from before a gap, and so
    counts from the first time that it moves.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._moved = False
        self._ahead = 0.0  # J told since the meter was read, and not by the meter

    def reset(self) -> None:
        """Nothing is known of what was drawn since."""
        self._last, self._moved, self._ahead = None, False, 0.0

    def over(self, seconds: float, counter: float | None, power: float | None) -> float | None:
        """The energy (J) of an interval of `seconds` that ends with these values; None where unknown."""
        estimate = None if power is None else power * seconds
        last, self._last = self._last, counter
        if counter is None or last is None or counter < last:  # none, the first, or the driver was reloaded
            self._moved, self._ahead = False, 0.0
            return estimate
        if counter == last:
            if not self._moved:
                return estimate
            self._ahead += estimate or 0.0
            return estimate or 0.0
        if not self._moved:
            self._moved = True
            return estimate
        owed = counter - last - self._ahead
        drawn = max(0.0, owed)
        self._ahead = drawn - owed
        return drawn
