"""A detector whose away time can change while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.model import PresenceResult
    from gpuwatch_tray.presence.decide import PresenceDetector


class AdjustableDetector:
    """The detector that `make` builds for the seconds that count as away, rebuilt when they change."""

    def __init__(self, make: Callable[[float], PresenceDetector], away: float) -> None:
        self._make = make
        self._away = away
        self._detector = make(away)

    def adjust(self, away: float) -> None:
        """Count `away` seconds as away from now on; presence is unknown until the new sources answer."""
        if away != self._away:
            before, self._detector, self._away = self._detector, self._make(away), away
            before.close()

    def check(self) -> PresenceResult:
        """Return whether the person is at the desk."""
        return self._detector.check()

    def sources(self) -> tuple[str, ...]:
        """Describe the answer and its sources."""
        return self._detector.sources()

    def close(self) -> None:
        """Close the detector."""
        self._detector.close()
