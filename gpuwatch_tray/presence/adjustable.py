"""A watch over the desk whose patience can change while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.model import Sighting
    from gpuwatch_tray.presence.watcher import PresenceDetector


class AdjustableDetector:
    """What `make` makes of the seconds without input that count as away; made anew when they change."""

    def __init__(self, make: Callable[[float], PresenceDetector], away: float) -> None:
        self._make = make
        self._away = away
        self._detector = make(away)

    def adjust(self, away: float) -> None:
        """Go by `away` seconds from now on; until the new sources have answered, nothing is known."""
        if away != self._away:
            before, self._detector, self._away = self._detector, self._make(away), away
            before.close()

    def check(self) -> Sighting:
        """Whether the person is at the desk."""
        return self._detector.check()

    def sources(self) -> tuple[str, ...]:
        """Who says so."""
        return self._detector.sources()

    def close(self) -> None:
        """End it."""
        self._detector.close()
