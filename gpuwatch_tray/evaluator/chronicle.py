"""What goes into the history: every change of an alert, and each new decision about telling it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import ChangeKind, Channel
from gpuwatch_tray.model import Reason
from gpuwatch_tray.store import Transition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gpuwatch_tray.alerts import Decision
    from gpuwatch_tray.evaluator.policy import Evaluation
    from gpuwatch_tray.model import Instant

WORDS = {Channel.EMAIL: "email", Channel.DESKTOP: "popup"}
OBVIOUS = {Reason.PENDING, Reason.RECOVERING}  # the change of phase says it
Key = tuple[str, Channel]
REASONS = frozenset(reason.value for reason in Reason)
SHOWN, NOT_SHOWN = "popup shown", "popup could not be shown"
MEANING = {
    "email queued": (Channel.EMAIL, True),
    "email waits": (Channel.EMAIL, False),
    SHOWN: (Channel.DESKTOP, True),
    "popup waits": (Channel.DESKTOP, False),
}


def unshown(history: Iterable[Transition]) -> frozenset[int]:
    """The incidents whose last popup could not be shown, by number."""
    last = {each.incident: each.what for each in history if each.what in {SHOWN, NOT_SHOWN}}
    return frozenset(number for number, what in last.items() if what == NOT_SHOWN)


class Chronicle:
    """
    Remembers the last decision about each alert and channel, so that each is told once, not every poll.

    It begins with what is on file of the alerts in `names` (fingerprints by number): cron starts it anew with
    every run.
    """

    def __init__(self, history: Iterable[Transition] = (), names: Mapping[int, str] | None = None) -> None:
        self._last: dict[Key, tuple[bool, Reason]] = {}
        for each in history:
            if names and each.incident in names and each.what in MEANING:
                channel, sent = MEANING[each.what]
                reason = Reason(each.why) if not sent and each.why in REASONS else Reason.FIRST
                self._last[names[each.incident], channel] = (sent, reason)

    def entries(self, found: Evaluation, now: Instant) -> tuple[Transition, ...]:
        """What this evaluation adds. A popup is entered when the desktop has taken it: see `popup`."""
        lines = [
            Transition(now.wall, change.alert.id, change.kind.value, change.alert.said)
            for change in found.changes
            if change.kind is not ChangeKind.DROPPED
        ]
        for decision in found.decisions:
            if decision.send and decision.channel is Channel.EMAIL:
                why = f"{decision.reason.value}, {decision.step.value}" if decision.step else ""
                lines.append(Transition(now.wall, decision.alert.id, "email queued", why))
            elif not decision.send and self._is_news(decision):
                what = f"{WORDS[decision.channel]} waits"
                lines.append(Transition(now.wall, decision.alert.id, what, decision.reason.value))
        return tuple(lines)

    def take(self, found: Evaluation) -> None:
        """The entries are on file."""
        self._last = {_key(each): (each.send, each.reason) for each in found.decisions}

    def popup(self, name: str, number: int, now: Instant, *, really: bool) -> Transition:
        """The desktop has taken a popup about this alert, or has not."""
        _, reason = self._last.get((name, Channel.DESKTOP), (True, Reason.FIRST))
        return Transition(now.wall, number, SHOWN if really else NOT_SHOWN, reason.value)

    def _is_news(self, decision: Decision) -> bool:
        if decision.reason in OBVIOUS or (
            decision.reason is Reason.NO_CHANNEL and decision.channel is Channel.DESKTOP
        ):
            return False
        # After a mail was queued it is on its way, and then in its cooldown: nothing that anybody asked.
        was = self._last.get(_key(decision))
        if was is not None and was[0] and decision.reason in {Reason.QUEUED, Reason.COOLDOWN}:
            return False
        quiet = {Reason.QUEUED, Reason.COOLDOWN}
        if was is not None and was[1] in quiet and decision.reason in quiet:
            return False
        return was != (False, decision.reason)


def _key(decision: Decision) -> Key:
    return decision.alert.fingerprint, decision.channel
