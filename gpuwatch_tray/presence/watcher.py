"""The presence detector: all sources of one desktop, checked from any thread without waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import terms
from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Presence, PresenceResult
from gpuwatch_tray.presence.clock import Moment, SuspendLog, moment
from gpuwatch_tray.presence.decide import PresenceSource, decide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class DesktopPresence:
    """The sources in the order in which they are believed; `away` is in seconds."""

    def __init__(
        self,
        sources: Sequence[PresenceSource],
        away: float,
        suspends: SuspendLog,
        clock: Callable[[], Moment] = moment,
    ) -> None:
        self._sources = tuple(sources)
        self._away = away
        self._suspends = suspends
        self._clock = clock
        suspends.observe(clock())

    def check(self) -> PresenceResult:
        """Return whether the person is at the desk, as far as is known now; never waits."""
        now = self._clock()
        self._suspends.observe(now)
        readings = [source.reading(now) for source in self._sources]
        return decide(filter(None, readings), now.boot, self._away)

    def sources(self) -> tuple[str, ...]:
        """Describe the answer, then each source with its reading or the reason for none; for `doctor`."""
        now = self._clock()
        answer = self.check()
        lines = [f"{terms.translate_key(answer.presence.value)}: {_(answer.source)}{_idle_text(answer.idle)}"]
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
    """The detector without a desktop, where nobody is present; `why` is the reason."""

    def __init__(self, why: str) -> None:
        self._why = why

    def check(self) -> PresenceResult:
        """Return away."""
        return PresenceResult(Presence.AWAY, N_("no desktop"))

    def sources(self) -> tuple[str, ...]:
        """Describe the answer and its reason."""
        return (_("away: no desktop ({why})").format(why=self._why),)

    def close(self) -> None:
        """Do nothing: there is nothing to end."""


def _idle_text(idle: float | None) -> str:
    return "" if idle is None else " " + _("({idle:.0f} s without input)").format(idle=idle)
