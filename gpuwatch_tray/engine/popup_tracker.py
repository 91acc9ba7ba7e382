"""The popups on the screen: which popup tells of which alerts, and what the person has missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.model import Alert, Phase, Popup, Presence
from gpuwatch_tray.notify import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


class PopupTracker:
    """
    The popups by key: one for each rule's alerts of a poll, which later popups about these alerts replace.

    What begins to fire while nobody is there is summed up in one popup when the person is back.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._popup_of: dict[str, str] = {}  # fingerprint -> key of the popup on the screen
        self._keys: set[str] = set()  # the popups on the screen
        self._missed: dict[str, Alert] | None = None  # None: somebody is there, as far as is known

    def alerts_of(self, key: str) -> tuple[str, ...]:
        """Return the fingerprints of the alerts that the popup with this key tells of."""
        return tuple(fingerprint for fingerprint, popup in self._popup_of.items() if popup == key)

    def group(self, due: Sequence[Alert], *, simulated: bool) -> tuple[tuple[Popup, tuple[str, ...]], ...]:
        """Make one popup for each rule's `due` alerts; an alert that has a popup keeps it."""
        groups: dict[str, list[Alert]] = {}
        for alert in due:
            key = self._popup_of.setdefault(alert.fingerprint, alert.fingerprint)
            home = next((key for key, members in groups.items() if members[0].rule == alert.rule), key)
            self._popup_of[alert.fingerprint] = home
            groups.setdefault(home, []).append(alert)
        self._keys.update(groups)
        return tuple(
            (
                render.popup(key, members, self._host, simulated=simulated),
                tuple(alert.fingerprint for alert in members),
            )
            for key, members in groups.items()
        )

    def closed_keys(self, alerts: Mapping[str, Alert]) -> tuple[str, ...]:
        """Drop the popups all of whose alerts have ended, are acknowledged or snoozed; their keys."""

        def wanted(fingerprint: str) -> bool:
            alert = alerts.get(fingerprint)
            return alert is not None and not alert.acknowledged and alert.snoozed_until is None

        self._popup_of = {name: key for name, key in self._popup_of.items() if wanted(name)}
        gone = self._keys - set(self._popup_of.values())
        self._keys -= gone
        return tuple(sorted(gone))

    def missed(
        self,
        presence: Presence,
        fired: Iterable[Alert],
        alerts: Mapping[str, Alert],
        silenced: Callable[[Alert], bool],
        *,
        simulated: bool,
    ) -> Popup | None:
        """Note the presence and what has just fired; the summary for a person who is back."""
        # It leaves out what the person has dealt with from afar, ended or not, and what is `silenced`.
        if presence is Presence.AWAY and self._missed is None:
            self._missed = {}
        if self._missed is None:
            return None
        if presence is not Presence.PRESENT:  # unknown is not present: nobody is seen to be back
            missed = self._missed | {alert.fingerprint: alert for alert in fired}
            self._missed = {name: alert for name, alert in missed.items() if not _settled(alerts.get(name))}
            return None
        missed, self._missed = self._missed, None
        unseen = [
            alert for name, alert in missed.items() if not _settled(alerts.get(name)) and not silenced(alert)
        ]
        if not unseen:
            return None
        present = [alerts.get(alert.fingerprint) for alert in unseen]
        firing = sum(1 for alert in present if alert is not None and alert.phase is not Phase.PENDING)
        return render.away_popup(unseen, firing, self._host, simulated=simulated)


def _settled(alert: Alert | None) -> bool:
    """Return whether nothing is left to say: it was dealt with from afar, or another alert mutes it."""
    if alert is None:
        return False
    return alert.acknowledged or alert.snoozed_until is not None or bool(alert.inhibited_by)
