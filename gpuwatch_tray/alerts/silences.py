"""
Silences, acknowledgements, and which alert mutes which.

A snooze that ends while the alert still fires gives one notice; one that the person ends does not.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.model import Alert, Instant, Phase, Reason, Severity
from gpuwatch_tray.model.units import local_datetime

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet


MORNING = 8  # o'clock: "until tomorrow"
BLIND, LOST = frozenset({"monitor_blind", "lab_blind"}), "gpu_lost"
HOST_BLIND, HOST_GONE = "host_blind", "host_gone"


class SilenceScope(Enum):
    """What a snooze covers."""

    ALL = "all"
    RULE = "rule"
    ALERT = "alert"


class Silence(Struct, frozen=True):
    """
    A snooze of everything, of one rule, or of one alert (`name` is the rule's name or the fingerprint).

    It lasts `seconds` from `at`, and ends early where the clock was set back over a boot.
    """

    scope: SilenceScope
    name: str
    at: Instant
    seconds: float

    def covers(self, alert: Alert) -> bool:
        """Return whether it is about this alert, running or not."""
        return self.matches(alert.rule, alert.fingerprint)

    def matches(self, rule: str, fingerprint: str) -> bool:
        """Return whether it is about an alert of this rule with this fingerprint."""
        return self.scope is SilenceScope.ALL or self.name == (
            rule if self.scope is SilenceScope.RULE else fingerprint
        )

    def left(self, now: Instant) -> float:
        """Return for how many seconds it still runs; 0 when it is over."""
        age = now.since(self.at)
        return 0.0 if age < 0 else max(0.0, self.seconds - age)


def until_tomorrow(now: float) -> float:
    """Return the seconds from `now` (wall time) until tomorrow morning, in the machine's zone."""
    here = local_datetime(now)
    morning = (here + timedelta(days=1)).replace(hour=MORNING, minute=0, second=0, microsecond=0, tzinfo=None)
    return morning.astimezone().timestamp() - now


def snoozed_until(silences: Iterable[Silence], now: Instant) -> float | None:
    """Return the wall time until which everything is snoozed; None if it is not."""
    left = max((silence.left(now) for silence in silences if silence.scope is SilenceScope.ALL), default=0.0)
    return now.wall + left if left else None


def apply_silences(
    alerts: Mapping[str, Alert],
    silences: Iterable[Silence],
    acknowledged: AbstractSet[int],
    now: Instant,
) -> dict[str, Alert]:
    """Set on each alert what is derived: acknowledged (by id), snoozed until when, inhibited by which."""
    # `silences` hold those that have just run out as well: what one of them covered gets its notice now.
    silences = tuple(silences)
    firing = [alert for alert in alerts.values() if alert.phase is not Phase.PENDING]
    return {
        key: replace(
            _snoozed(alert, [silence for silence in silences if silence.covers(alert)], now),
            acknowledged=alert.id in acknowledged,
            inhibited_by=_inhibitor(alert, firing),
        )
        for key, alert in alerts.items()
    }


def _snoozed(alert: Alert, silences: list[Silence], now: Instant) -> Alert:
    left = max((silence.left(now) for silence in silences), default=0.0)
    if left:
        return replace(alert, snoozed_until=now.wall + left, covered=True)
    news = alert.news
    if alert.covered and silences and alert.phase is Phase.FIRING:
        news = (Reason.SNOOZE_OVER, now)
    return replace(alert, snoozed_until=None, covered=False, news=news)


def _inhibitor(alert: Alert, firing: Iterable[Alert]) -> str:
    """Return the rule of the first alert that mutes this one; empty for none."""
    return next((other.rule for other in firing if _mutes(other, alert)), "")


def _mutes(other: Alert, alert: Alert) -> bool:
    if other.fingerprint == alert.fingerprint:
        return False
    if other.rule in BLIND:
        return not other.subject  # of one GPU's processes nothing may be known, and much of the rest
    if not other.subject:
        return False
    if other.rule == HOST_BLIND:  # its subject ends with the slash after the host
        return alert.rule not in {HOST_BLIND, HOST_GONE} and alert.subject.startswith(other.subject)
    if other.rule == LOST:
        its_own = alert.subject == other.subject or alert.subject.startswith(f"{other.subject}/")
        return alert.rule != LOST and its_own
    worse = other.severity is Severity.CRITICAL and alert.severity < Severity.CRITICAL
    return worse and other.subject == alert.subject
