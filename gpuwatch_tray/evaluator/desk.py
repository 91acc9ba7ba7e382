"""What is on the desk: which popup tells of which alert, and what the person has missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import messages
from gpuwatch_tray.model import Alert, Phase, Popup, Presence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


class PopupTracker:
    """
    The popups by key: one for each rule's alerts of a poll, which later notices of these alerts replace.

    Presence is followed from poll to poll: what begins to fire while nobody is there is summed up in one
    popup when the person is back.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._popup_of: dict[str, str] = {}  # fingerprint -> key of the popup on the screen
        self._keys: set[str] = set()  # the popups on the screen
        self._missed: dict[str, Alert] | None = None  # None: somebody is there, as far as is known

    def members(self, key: str) -> tuple[str, ...]:
        """The alerts that the popup with this key tells of."""
        return tuple(name for name, popup in self._popup_of.items() if popup == key)

    def popups(self, due: Sequence[Alert], *, simulated: bool) -> tuple[tuple[Popup, tuple[str, ...]], ...]:
        """One popup for each rule's alerts that are due; an alert told before keeps its popup."""
        groups: dict[str, list[Alert]] = {}
        for alert in due:
            key = self._popup_of.setdefault(alert.fingerprint, alert.fingerprint)
            home = next((k for k, members in groups.items() if members[0].rule == alert.rule), key)
            self._popup_of[alert.fingerprint] = home
            groups.setdefault(home, []).append(alert)
        self._keys.update(groups)
        return tuple(
            (
                messages.popup(key, members, self._host, simulated=simulated),
                tuple(alert.fingerprint for alert in members),
            )
            for key, members in groups.items()
        )

    def over(self, alerts: Mapping[str, Alert]) -> tuple[str, ...]:
        """The popups none of whose alerts wants the person any more: over, acknowledged or snoozed."""

        def wanted(name: str) -> bool:
            alert = alerts.get(name)
            return alert is not None and not alert.acknowledged and alert.snoozed_until is None

        self._popup_of = {name: key for name, key in self._popup_of.items() if wanted(name)}
        gone = self._keys - set(self._popup_of.values())
        self._keys -= gone
        return tuple(sorted(gone))

    def back(
        self,
        presence: Presence,
        fired: Iterable[Alert],
        alerts: Mapping[str, Alert],
        silenced: Callable[[Alert], bool],
        *,
        simulated: bool,
    ) -> Popup | None:
        """
        Take note of the presence and of what has just fired; the summary for somebody who is back.

        What the person has dealt with from afar is not in it, be it over since, nor what is `silenced` now.
        """
        if presence is Presence.AWAY and self._missed is None:
            self._missed = {}
        if self._missed is None:
            return None
        if presence is not Presence.PRESENT:  # unknown is not present: nobody is seen to be back
            self._missed.update({alert.fingerprint: alert for alert in fired})
            settled = [name for name in self._missed if _settled(alerts.get(name))]
            for name in settled:
                del self._missed[name]
            return None
        missed, self._missed = self._missed, None
        told = [
            alert for name, alert in missed.items() if not _settled(alerts.get(name)) and not silenced(alert)
        ]
        if not told:
            return None
        now = [alerts.get(alert.fingerprint) for alert in told]
        firing = sum(1 for alert in now if alert is not None and alert.phase is not Phase.PENDING)
        return messages.away_popup(told, firing, simulated=simulated)


def _settled(alert: Alert | None) -> bool:
    """Whether there is nothing to tell: the person has dealt with it from afar, or another alert mutes it."""
    if alert is None:
        return False
    return alert.acknowledged or alert.snoozed_until is not None or bool(alert.inhibited_by)
