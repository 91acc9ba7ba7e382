"""All sources of one desktop under one roof: look at any time, from any thread, without waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gpuwatch_tray import terms
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Presence, Sighting
from gpuwatch_tray.presence.clock import Moment, SuspendLog, moment
from gpuwatch_tray.presence.decide import PresenceReading, decide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class PresenceDetector(Protocol):
    """What the alerts ask, from any thread."""

    def check(self) -> Sighting:
        """Whether the person is at the desk, as far as is known now; never waits."""

    def sources(self) -> tuple[str, ...]:
        """The answer, then each source with what it says, or why it says nothing; for `doctor`."""

    def close(self) -> None:
        """End what was started for it, within a second or two."""


class PresenceSource(Protocol):
    """
    One way to know of the person.

    It asks, or listens, by itself; `reading` hands out what is known by now and never waits.
    """

    name: str

    def reading(self, now: Moment) -> PresenceReading | None:
        """What it knows, None where that is nothing."""

    def state(self) -> str:
        """In one line, why there is no reading."""

    def close(self) -> None:
        """End what it started."""


class AbsentSource:
    """A source that is not used here, and why."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self._why = why

    def reading(self, now: Moment) -> PresenceReading | None:
        """Nothing."""

    def state(self) -> str:
        """Why it is not used."""
        return self._why

    def close(self) -> None:
        """Nothing was started."""


class DesktopPresence:
    """The sources in the order in which they are believed; `away` is in seconds."""

    def __init__(
        self,
        sources: Sequence[PresenceSource],
        away: float,
        sleeps: SuspendLog,
        clock: Callable[[], Moment] = moment,
    ) -> None:
        self._sources = tuple(sources)
        self._away = away
        self._sleeps = sleeps
        self._clock = clock
        sleeps.observe(clock())

    def check(self) -> Sighting:
        """Whether the person is at the desk, as far as is known now; never waits."""
        now = self._clock()
        self._sleeps.observe(now)
        readings = [source.reading(now) for source in self._sources]
        return decide(filter(None, readings), now.boot, self._away)

    def sources(self) -> tuple[str, ...]:
        """The answer, then each source with what it says, or why it says nothing; for `doctor`."""
        now = self._clock()
        answer = self.check()
        lines = [f"{terms.said(answer.presence.value)}: {_(answer.source)}{_idle_text(answer.idle)}"]
        for source in self._sources:
            reading = source.reading(now)
            text = (
                source.state()
                if reading is None
                else _(reading.evidence.value) + _idle_text(reading.idle or None)
            )
            lines.append(f"{source.name}: {text}")
        return tuple(lines)

    def close(self) -> None:
        """End what the sources started; each takes half a second at most."""
        for source in self._sources:
            source.close()


class NobodyPresent:
    """A desk that nobody sits at: there is no desktop, and `why` says how that is known."""

    def __init__(self, why: str) -> None:
        self._why = why

    def check(self) -> Sighting:
        """Away."""
        return Sighting(Presence.AWAY, N_("no desktop"))

    def sources(self) -> tuple[str, ...]:
        """The answer, and why."""
        return (_("away: no desktop ({why})").format(why=self._why),)

    def close(self) -> None:
        """Nothing was started."""


def _idle_text(idle: float | None) -> str:
    return "" if idle is None else " " + _("({idle:.0f} s without input)").format(idle=idle)
