"""Minutes that are like the one before: told once, as one stretch, so that a disk can rest meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.model import MINUTE
from gpuwatch_tray.sampling.joining import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model import GpuSample, Span, Stretch, Use

LONGEST = 30 * MINUTE  # seconds that may be lost when the machine loses its power
SEEN = 0.95  # share of a minute that must have been seen for it to be like any other
# What a GPU at rest differs by from minute to minute.
_MIB = 2.0**20
_DEGREES, _PERCENT, _WATTS = 2.0, 2.0, 2.0


class Steady:
    """Holds back the minutes that are like the last one that was told."""

    def __init__(self) -> None:
        self._told: Stretch | None = None
        self._held: list[Stretch] = []

    def take(self, minute: Stretch) -> tuple[Stretch, ...]:
        """What is to be told now that this minute is over."""
        last = self._held[-1] if self._held else self._told
        if (
            self._told is not None
            and last is not None
            and minute.at == last.end
            and alike(self._told, minute)
        ):
            self._held.append(minute)
            if sum(each.seconds for each in self._held) < LONGEST:
                return ()
            return self.flush()
        told = (*self.flush(), minute)
        self._told = minute
        return told

    def flush(self) -> tuple[Stretch, ...]:
        """What is held back, to be told after all."""
        held, self._held = self._held, []
        if not held:
            return ()
        at = held[0].at
        together = joined(held, at, held[-1].end - at)
        self._told = together
        return (together,)


def alike(one: Stretch, other: Stretch) -> bool:
    """Whether the two differ in nothing that a person would see on a chart; both were seen throughout."""
    return (
        len(one.gpus) == len(other.gpus)
        and len(one.users) == len(other.users)
        and len(one.processes) == len(other.processes)
        and all(map(_gpus_alike, one.gpus, other.gpus))
        and all(map(_uses_alike, one.users, other.users))
        and all(map(_uses_alike, one.processes, other.processes))
    )


def _gpus_alike(one: GpuSample, other: GpuSample) -> bool:
    return (
        one.uuid == other.uuid
        and one.level == other.level
        and _shares(one, (one.covered,)) == _shares(other, (other.covered,)) == (1,)
        and _shares(one, (one.asleep, one.listed, one.held, one.idle))
        == _shares(other, (other.asleep, other.listed, other.held, other.idle))
        and (one.energy is None) == (other.energy is None)
        and _near(one, one.memory, other, other.memory, _MIB)
        and _near(one, one.utilisation, other, other.utilisation, _PERCENT)
        and _near(one, one.temperature, other, other.temperature, _DEGREES)
        and _near(one, one.power, other, other.power, _WATTS)
        and _near(one, one.fan, other, other.fan, _PERCENT)
        and _near(one, one.throttled, other, other.throttled, 0.0)
    )


def _uses_alike(one: Use, other: Use) -> bool:
    return (
        (one.who, one.uuid) == (other.who, other.uuid)
        and (one.energy is None) == (other.energy is None)
        and _shares(one, (one.held, one.idle)) == _shares(other, (other.held, other.idle))
        and _near(one, one.memory, other, other.memory, _MIB)
        and _near(one, one.utilisation, other, other.utilisation, _PERCENT)
    )


def _shares(of: GpuSample | Use, seconds: Sequence[float]) -> tuple[float, ...]:
    """The shares of the stretch: 1 and 0 for the whole of it and nothing, whatever the clock's slew."""
    found = (each / of.seconds for each in seconds)
    return tuple(1 if share >= SEEN else share for share in found)


def _near(of: GpuSample | Use, a: Span | None, other: GpuSample | Use, b: Span | None, most: float) -> bool:
    if a is None or b is None:
        return a is b
    return (
        _shares(of, (a.seconds,)) == _shares(other, (b.seconds,))
        and abs(a.low - b.low) <= most
        and abs(a.high - b.high) <= most
    )
