"""AWAY_MIN, read again while the program runs."""

from __future__ import annotations

from gpuwatch_tray.desktop.presence import AdjustableDetector
from gpuwatch_tray.model import Presence, PresenceResult

IDLE = 400.0  # seconds without input


class Desk:
    """A desk at which nothing has been touched for a while."""

    def __init__(self, away):
        self._away = away
        self.closed = 0

    def check(self):
        """Away from so many seconds on."""
        return PresenceResult(Presence.AWAY if self._away <= IDLE else Presence.PRESENT, "test", IDLE)

    def sources(self):
        """One line."""
        return (f"{self._away:g}",)

    def close(self):
        self.closed += 1


def test_another_patience_gives_another_answer():
    """The same idle time is away by five minutes and present by ten; the old sources are ended."""
    made = []

    def make(away):
        made.append(Desk(away))
        return made[-1]

    desk = AdjustableDetector(make, 600.0)
    assert desk.check().presence is Presence.PRESENT
    desk.adjust(600.0)
    assert len(made) == 1  # nothing has changed: what the sources know is kept
    desk.adjust(300.0)
    assert (desk.check().presence, desk.sources()) == (Presence.AWAY, ("300",))
    desk.adjust(600.0)
    assert desk.check().presence is Presence.PRESENT
    desk.close()
    assert [each.closed for each in made] == [1, 1, 1]
