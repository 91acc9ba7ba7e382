"""Moments on the wall clock and on the clock since the boot."""

from __future__ import annotations

from dataclasses import dataclass

PROCESS = "process-"  # what `Instant.boot` begins with where only a process's own clock can be had


@dataclass(frozen=True, slots=True)
class Instant:
    """
    One moment on two clocks: `wall` is seconds since the epoch, `uptime` seconds since the boot `boot`.

    `uptime` counts suspends and nobody sets it; `boot` is empty where the boot is unknown.
    """

    wall: float
    uptime: float = 0.0
    boot: str = ""

    def since(self, earlier: Instant) -> float:
        """
        Return the seconds since `earlier`: by the uptime within one boot, else by the wall clock.

        Negative where the wall clock was set back over a boot: nobody knows then how long it was.
        """
        if self.boot and self.boot == earlier.boot:
            return self.uptime - earlier.uptime
        return self.wall - earlier.wall

    def follows(self, other: Instant, now: Instant) -> bool:
        """Tell whether this was after `other`, seen from `now`; the present boot is after any other."""
        if self.boot != other.boot:
            if self.boot == now.boot and other.in_a_boot:
                return True
            if other.boot == now.boot and self.in_a_boot:
                return False
        return self.since(other) > 0

    @property
    def in_a_boot(self) -> bool:
        """Whether `boot` is the machine's, of which there is one at a time."""
        return bool(self.boot) and not self.boot.startswith(PROCESS)
