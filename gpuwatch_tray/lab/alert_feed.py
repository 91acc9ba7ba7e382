"""
Whether what an Alertmanager says can be believed. Pure.

An Alertmanager that nobody feeds answers 200 and an empty list, as one does where all is well. So what it has
is compared with what fires in Prometheus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.lab.answers import harmless
from gpuwatch_tray.model import FeedState

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

AlertKey: TypeAlias = tuple[str, str]  # alertname and host, as they came

WATCHDOG = "Watchdog"  # how the name of a rule that always fires ends: ours, and kube-prometheus's
POLLS = 2  # that an alert must be missing for: a new one is on its way


class FeedJudge:
    """Compares poll by poll the alerts that fire in Prometheus with those of the Alertmanager."""

    def __init__(self) -> None:
        self._missing: dict[AlertKey, int] = {}  # for how many polls
        self._had: set[AlertKey] = set()  # fires, and was there once
        self._watchdogs: dict[AlertKey, int] = {}  # those that have fired, and for how many polls they do not
        self._last = FeedState.UNKNOWN

    def judge(
        self,
        firing: AbstractSet[AlertKey] | None,
        there: AbstractSet[AlertKey] | None,
        silent: AbstractSet[AlertKey] = frozenset(),
    ) -> tuple[FeedState, str]:
        """
        Return how far it can be believed, and why not.

        `firing` is None where Prometheus could not be asked, `there` where the Alertmanager could not;
        `silent` are watchdogs that have fired before we asked for the first time, and do not now.
        """
        if there is None:
            return FeedState.UNREACHABLE, ""
        if firing is None:
            return FeedState.UNKNOWN, ""
        self._missing = {key: self._missing.get(key, 0) + 1 for key in firing - there}
        matched = firing & there
        self._had = (self._had | matched) & firing
        # What it never had may be dropped on the way on purpose, as long as others come through.
        lost = [
            key
            for key, polls in self._missing.items()
            if polls >= POLLS and (key in self._had or not matched)
        ]
        gone = self._silent_watchdogs(firing, silent)
        if gone:
            text = _("{name} should always fire in Prometheus, and no longer does: are the rules gone?")
            return FeedState.UNKNOWN, text.format(name=gone[0])
        if lost:
            self._last = FeedState.UNFED
            text = ngettext(
                "{count} alert that fires in Prometheus is missing there",
                "{count} alerts that fire in Prometheus are missing there",
                len(lost),
            )
            return FeedState.UNFED, text.format(count=len(lost))
        if matched or not firing:
            self._last = FeedState.FED
        return self._last, ""

    def _silent_watchdogs(self, firing: AbstractSet[AlertKey], silent: AbstractSet[AlertKey]) -> list[str]:
        """Return the rules that fire always and do no longer: without its rules nothing fires at all."""
        seen = {key: 0 for key in firing if key[0].endswith(WATCHDOG)}
        before = {key: POLLS for key in silent if key not in self._watchdogs} | self._watchdogs
        gone = {key: polls + 1 for key, polls in before.items() if key not in seen}
        self._watchdogs = seen | gone
        return [harmless(key[0]) for key, polls in gone.items() if polls >= POLLS]
