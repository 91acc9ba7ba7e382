"""The seconds without input, from the reports of somebody who tells when a pause begins and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.desktop.presence.types import Evidence, PresenceReading, PresenceSource

if TYPE_CHECKING:
    from gpuwatch_tray.desktop.presence.types import Moment, SuspendLog


REPORT_SLACK = 2.0  # seconds by which a report may be late


class IdleReports:
    """
    The state that reports mean, each of which comes after `after` seconds without input, or at input again.

    For one reporter at a time. It keeps no clock of its own.
    """

    def __init__(self, after: float, suspends: SuspendLog) -> None:
        self._after = after
        self._suspends = suspends
        self._started: float | None = None  # these three are on the `awake` clock
        self._idle_at: float | None = None
        self._active_at = 0.0
        self._exact = False  # whether there was input `after` seconds before the report that it is idle

    @property
    def running(self) -> bool:
        """Whether there is a reporter."""
        return self._started is not None

    def start(self, now: Moment) -> None:
        """Note a new reporter; the last input is unknown."""
        self._started, self._idle_at, self._active_at = now.awake, None, 0.0

    def stop(self) -> None:
        """Note the reporter's end."""
        self._started = None

    def idle(self, now: Moment) -> None:
        """Record a report that a pause has begun."""
        self._exact = self._input_known(now)
        self._idle_at = now.awake

    def active(self, now: Moment) -> None:
        """Record a report that the pause is over."""
        self._idle_at, self._active_at = None, now.awake

    def reading(self, source: str, now: Moment, at: float) -> PresenceReading | None:
        """
        Return what is known: true at `at`, on the `boot` clock.

        Input is known by the report of it, or by silence for longer than `after`.
        """
        idle_at = self._idle_at
        if self._started is None:
            return None
        if idle_at is not None:
            idle = self._after + max(0.0, now.awake - idle_at) + self._suspends.slept_since(idle_at)
            evidence = Evidence.IDLE if self._exact else Evidence.IDLE_AT_LEAST
            return PresenceReading(source, evidence, at, idle)
        return PresenceReading(source, Evidence.INPUT, at) if self._input_known(now) else None

    def _input_known(self, now: Moment) -> bool:
        """Return whether there was input since the start or the last resume, until `after` s ago at least."""
        since = max(self._started or 0.0, self._suspends.last_resume())
        return self._active_at > since or now.awake - since > self._after + REPORT_SLACK


class ReportedSource(PresenceSource):
    """A source that is told of pauses, and knows nothing before the first report or a silence."""

    _reports: IdleReports

    @property
    def is_listening(self) -> bool:
        """Whether it works, and will know as soon as it has run for a while."""
        return self._reports.running
