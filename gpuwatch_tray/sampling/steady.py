"""Minutes that are like the one before, written once as one stretch, so that a disk can rest meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.sampling.joining import merge_stretches
from gpuwatch_tray.units import MIB, MINUTE

if TYPE_CHECKING:
    from gpuwatch_tray.model import GpuSample, Span, Stretch, Use

LONGEST_STRETCH = 30 * MINUTE  # seconds that may be lost when the machine loses its power
SEEN_SHARE = 0.95  # share of a minute that must have been seen for it to be like any other
# What a GPU at rest differs by from minute to minute.
_DEGREES, _PERCENT, _WATTS = 2.0, 2.0, 2.0


class StretchCompactor:
    """Holds back the minutes that are like the last one that was returned (run-length compaction)."""

    def __init__(self) -> None:
        self._written: Stretch | None = None
        self._held: list[Stretch] = []

    def add(self, minute: Stretch) -> tuple[Stretch, ...]:
        """Add a minute that is over; return the stretches that are to be written now."""
        last = self._held[-1] if self._held else self._written
        if (
            self._written is not None
            and last is not None
            and minute.at == last.end
            and are_alike(self._written, minute)
        ):
            self._held.append(minute)
            if sum(minute.seconds for minute in self._held) < LONGEST_STRETCH:
                return ()
            return self.flush()
        stretches = (*self.flush(), minute)
        self._written = minute
        return stretches

    def flush(self) -> tuple[Stretch, ...]:
        """Return what was held back."""
        held, self._held = self._held, []
        if not held:
            return ()
        at = held[0].at
        together = merge_stretches(held, at, held[-1].end - at)
        self._written = together
        return (together,)


def are_alike(one: Stretch, other: Stretch) -> bool:
    """Return whether two stretches would look the same on a chart; both must have been seen throughout."""
    return (
        len(one.gpus) == len(other.gpus)
        and len(one.users) == len(other.users)
        and len(one.processes) == len(other.processes)
        and all(map(_gpus_alike, one.gpus, other.gpus))
        and all(map(_uses_alike, one.users, other.users))
        and all(map(_uses_alike, one.processes, other.processes))
    )


def _gpus_alike(one: GpuSample, other: GpuSample) -> bool:
    a, b = one.seconds, other.seconds
    return (
        one.uuid == other.uuid
        and one.level == other.level
        and (one.energy is None) == (other.energy is None)
        and one.covered >= SEEN_SHARE * a
        and other.covered >= SEEN_SHARE * b
        and _same_share(one.asleep / a, other.asleep / b)
        and _same_share(one.listed / a, other.listed / b)
        and _same_share(one.held / a, other.held / b)
        and _same_share(one.idle / a, other.idle / b)
        and _near(one.power, other.power, _WATTS, a, b)
        and _near(one.utilisation, other.utilisation, _PERCENT, a, b)
        and _near(one.memory, other.memory, MIB, a, b)
        and _near(one.temperature, other.temperature, _DEGREES, a, b)
        and _near(one.fan, other.fan, _PERCENT, a, b)
        and _near(one.throttled, other.throttled, 0.0, a, b)
    )


def _uses_alike(one: Use, other: Use) -> bool:
    a, b = one.seconds, other.seconds
    return (
        one.who == other.who
        and one.uuid == other.uuid
        and (one.energy is None) == (other.energy is None)
        and _same_share(one.held / a, other.held / b)
        and _same_share(one.idle / a, other.idle / b)
        and _near(one.memory, other.memory, MIB, a, b)
        and _near(one.utilisation, other.utilisation, _PERCENT, a, b)
    )


def _same_share(share: float, other: float) -> bool:
    """Return whether two shares of the time are the same, but for the clock's slew."""
    return abs(share - other) <= 1 - SEEN_SHARE


def _near(a: Span | None, b: Span | None, most: float, of_a: int, of_b: int) -> bool:
    if a is None or b is None:
        return a is b
    return (
        abs(a.low - b.low) <= most
        and abs(a.high - b.high) <= most
        and _same_share(a.seconds / of_a, b.seconds / of_b)
    )
