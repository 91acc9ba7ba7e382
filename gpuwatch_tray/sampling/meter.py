"""The energy of a GPU: from its own counter where it has one, else from its power over time."""

from __future__ import annotations


class EnergyMeter:
    """
    The energy of one interval after another.

    The counter is updated less often than the power. Until it changes, power stands in for it, and the
    difference is made up then: the sum is the counter's. Its first value may be from before a gap, so it
    counts only from its first change on.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._moved = False
        self._ahead = 0.0  # J returned since the counter changed, by power

    def reset(self) -> None:
        """Forget the counter: nothing is known of what was drawn since."""
        self._last, self._moved, self._ahead = None, False, 0.0

    def energy(self, seconds: float, counter: float | None, power: float | None) -> float | None:
        """Return the energy (J) of the `seconds` that end with these values; None where unknown."""
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
