"""
What the person does: acknowledge and snooze alerts, ask for reminders. Menu, popups and commands come here.

It is written to the state at once, and whoever evaluates on that finds it with the next snapshot.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import Silence, SilenceScope, until_tomorrow
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Phase
from gpuwatch_tray.rules import RULES
from gpuwatch_tray.store import Transition
from gpuwatch_tray.units import DAY, HOUR, MINUTE, TO_THE_MINUTE, local_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.model import Alert, Instant
    from gpuwatch_tray.store import Store

log = logging.getLogger(__name__)

LONGEST_SNOOZE = 366 * DAY
_UNITS = {"s": 1, "m": MINUTE, "min": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)")


class NoSuchAlertError(Exception):
    """No alert of this name is active; the text says which are."""


def parse_duration(text: str, now: float) -> float:
    """
    Read a duration such as `2h`, `90min`, `1d12h`, or `tomorrow` (until the morning), in seconds from `now`.

    Raises ValueError with what is expected.
    """
    words = text.strip().lower()
    if words == "tomorrow":
        return until_tomorrow(now)
    parts = _PART.findall(words)
    if not parts or _PART.sub("", words).strip():
        raise ValueError(
            _("expected a duration such as 30m, 2h, 1d or tomorrow, got {text!r}").format(text=text)
        )
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < total <= LONGEST_SNOOZE:
        raise ValueError(_("expected a duration of up to a year, got {text!r}").format(text=text))
    return total


class AlertOperations:
    """Acknowledge and snooze the alerts of one state. Methods answer with lines that say what was done."""

    def __init__(self, store: Store, clock: Callable[[], Instant]) -> None:
        self._store = store
        self._clock = clock

    def acknowledge(self, *names: str) -> str:
        """
        Acknowledge alerts, by id or fingerprint: they are not repeated until they end or get worse.

        Raises NoSuchAlert.
        """
        alerts = self._find(names)
        if pending := [alert for alert in alerts if alert.phase is Phase.PENDING]:
            raise NoSuchAlertError(
                _("alert {id} does not fire yet: there is nothing to acknowledge").format(id=pending[0].id)
            )
        now = self._clock()
        lines = [Transition(now.wall, alert.id, "acknowledged") for alert in alerts]
        self._store.acknowledge([alert.id for alert in alerts], lines, now.wall)
        return self._report(_("acknowledged"), alerts)

    def snooze(self, length: float, *names: str) -> str:
        """
        Silence every channel for `length` seconds: for everything, or for these rules and alerts.

        Raises NoSuchAlert.
        """
        now = self._clock()
        until = local_time(now.wall + length, TO_THE_MINUTE)
        if not names:
            self._store.add_silence(Silence(SilenceScope.ALL, "", now, length))
            log.info("everything snoozed until %s", until)
            return _("everything snoozed until {time}").format(time=until)
        rules = [name for name in names if name in RULES]
        alerts = self._find([name for name in names if name not in RULES])
        for rule in rules:
            self._store.add_silence(Silence(SilenceScope.RULE, rule, now, length))
        for alert in alerts:
            line = Transition(now.wall, alert.id, "snoozed", _("until {time}").format(time=until))
            self._store.add_silence(Silence(SilenceScope.ALERT, alert.fingerprint, now, length), [line])
        return self._report(_("snoozed until {time}").format(time=until), alerts, rules)

    def resume(self) -> str:
        """End every snooze."""
        count = self._store.end_silences()
        log.info("%d snoozes ended", count)
        return _("nothing was snoozed") if count == 0 else _("every snooze ended")

    def _find(self, names: Sequence[str]) -> list[Alert]:
        active = self._store.saved_state().alerts
        alerts = []
        for name in names:
            matches = [alert for alert in active if name in {str(alert.id), alert.fingerprint}]
            if not matches:
                ids = ", ".join(str(alert.id) for alert in active) or _("none")
                raise NoSuchAlertError(
                    _("no alert {name!r} is active (active: {ids}; rules: {rules})").format(
                        name=name, ids=ids, rules=", ".join(RULES)
                    )
                )
            alerts += matches
        return alerts

    def _report(self, what: str, alerts: Sequence[Alert], rules: Sequence[str] = ()) -> str:
        subjects = [
            *(_("rule {rule}").format(rule=rule) for rule in rules),
            *(f"{alert.id}: {alert.message}" for alert in alerts),
        ]
        for subject in subjects:
            log.info("%s: %s", what, subject)
        return "\n".join(f"{what}: {subject}" for subject in subjects)
