"""
The lab's Alertmanagers: their alerts, united by fingerprint, and silences for everyone.

A silence is the one thing that is written here. It is made of all labels of one alert, so that it covers
nothing else; an equal one is looked for before; and only those that were made here are ended.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.i18n import _
from gpuwatch_tray.lab.answers import (
    MOST_LABELS,
    AlertEntry,
    SilenceEntry,
    harmless,
    host_of,
    parse_alerts,
    parse_silences,
    severity,
    shown_labels,
    shown_silence,
)
from gpuwatch_tray.lab.lab_error import LabError, LabFailure
from gpuwatch_tray.model import RemoteAlert, RemoteSilence
from gpuwatch_tray.model.units import DAY, MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from gpuwatch_tray.lab.http import LabServer
    from gpuwatch_tray.lab.silences_made import SilencesMade

LONGEST_SILENCE = 30 * DAY  # seconds: who needs longer should change the rule
SHORTEST_SILENCE = MINUTE
MOST_ALERTS = 2000  # of one Alertmanager
LEAST_MATCHERS = 2  # an alert's name alone would silence it on all hosts
WATCHDOG = "none"  # the severity of alerts that always fire, to show that they come through
_USER_LABELS = frozenset({"user", "username", "owner"})


class AlertsRead(Struct, frozen=True):
    """The alerts of all Alertmanagers that answered; `failures` are of those that did not, or not whole."""

    entries: tuple[AlertEntry, ...]
    silences: Mapping[str, SilenceEntry]
    failures: tuple[LabError, ...]
    answered: bool


class Alertmanagers:
    """The Alertmanagers of one lab, of which each may know alerts that the others do not."""

    def __init__(self, servers: Sequence[LabServer], made: SilencesMade) -> None:
        self._servers = servers
        self._made = made

    def read(self, end: float) -> AlertsRead:
        """Ask all of them until the steady time `end`; never raises LabError."""
        entries: dict[str, AlertEntry] = {}
        silences: dict[str, SilenceEntry] = {}
        failures: list[LabError] = []
        answered = 0
        for place, server in enumerate(self._servers):
            left = end - time.monotonic()
            until = time.monotonic() + left / (
                len(self._servers) - place
            )  # one that hangs leaves time for the next
            try:
                there = self._alerts(server, until)
                if any(entry.silenced_by for entry in there):
                    silences |= {silence.id: silence for silence in self._silences(server, until)}
                answered += 1  # not without those: what is silenced would be told as if it were not
                if len(there) > MOST_ALERTS:
                    text = _("{server} has more than {most} alerts")
                    text = text.format(server=server.name, most=MOST_ALERTS)
                    failures.append(LabError(LabFailure.QUERY, text))
                for entry in there[:MOST_ALERTS]:
                    entries.setdefault(entry.fingerprint, entry)
            except LabError as error:
                failures.append(error)
        return AlertsRead(tuple(entries.values()), silences, tuple(failures), answered > 0)

    def shown(
        self, read: AlertsRead, name_of: Callable[[str], str], hosts: Collection[str], me: str
    ) -> tuple[RemoteAlert, ...]:
        """Return the alerts for people; `name_of` an instance, and the hosts on which one computes."""
        ours = self._made.ids()
        alerts = []
        for entry in read.entries:
            if entry.labels.get("severity") == WATCHDOG:
                continue
            host = name_of(host_of(entry.labels))
            named = bool(me) and any(entry.labels.get(label) == me for label in _USER_LABELS)
            found = (read.silences.get(one) for one in entry.silenced_by)
            alerts.append(
                RemoteAlert(
                    fingerprint=entry.fingerprint,
                    name=harmless(entry.labels.get("alertname", "")),
                    host=host,
                    severity=severity(entry.labels),
                    text=entry.text,
                    since=entry.since,
                    mine=named or host in hosts,
                    silences=tuple(shown_silence(one, ours) for one in found if one is not None),
                    inhibited=entry.inhibited,
                    labels=shown_labels(entry.labels),
                )
            )
        return tuple(
            sorted(alerts, key=lambda alert: (-alert.severity, alert.host, alert.name, alert.fingerprint))
        )

    def silence(
        self, fingerprint: str, seconds: float, *, author: str, comment: str, now: float, end: float
    ) -> RemoteSilence:
        """
        Silence one alert for everyone, for `seconds` from `now` (wall time); raises LabError.

        Where an equal silence stands that lasts at least as long, that one is returned and none is made.
        `author` is `user@desk`; neither it nor `comment` may be empty.
        """
        if not SHORTEST_SILENCE <= seconds <= LONGEST_SILENCE:
            raise LabError(LabFailure.CONFIGURATION, _("a silence lasts from 1 min to 30 d"))
        if not author.strip() or not comment.strip():
            raise LabError(LabFailure.CONFIGURATION, _("a silence needs an author and a comment"))
        server, entry = self._find(fingerprint, end)
        matchers = frozenset((name, value, True, False) for name, value in entry.labels.items())
        if not LEAST_MATCHERS <= len(matchers) < MOST_LABELS:
            raise LabError(
                LabFailure.QUERY,
                _("the alert has only its name: a silence would be about all hosts"),
                _("silence it in the Alertmanager itself, if that is what you want"),
            )
        until = now + seconds
        for standing in self._silences(server, end):
            if standing.active and standing.matchers == matchers and standing.until >= until - MINUTE:
                return shown_silence(standing, self._made.ids())
        body = {
            "matchers": [
                {"name": name, "value": value, "isRegex": False, "isEqual": True}
                for name, value, _equal, _regex in sorted(matchers)
            ],
            "startsAt": _rfc3339(now),
            "endsAt": _rfc3339(until),
            "createdBy": author,
            "comment": comment,
        }
        answer = server.post("/api/v2/silences", end - time.monotonic(), body).json
        made = answer.get("silenceID") if isinstance(answer, dict) else None
        if not isinstance(made, str) or not made:
            raise LabError(
                LabFailure.OTHER_PROGRAM,
                _("{server} does not say that it keeps the silence").format(server=server.name),
            )
        try:
            self._made.add(made, until)
        except OSError as error:
            raise LabError(
                LabFailure.CONFIGURATION,
                _("it is silenced for everyone, but that cannot be noted here: {why}").format(
                    why=error.strerror or error
                ),
                _("end it on the page of the Alertmanager"),
            ) from None
        return RemoteSilence(made, author, comment, until, ours=True)

    def expire(self, silence_id: str, end: float) -> None:
        """End a silence that was made here; raises LabError, also for one of anybody else."""
        if silence_id not in self._made.ids():
            raise LabError(
                LabFailure.CONFIGURATION,
                _("the silence was not made here: it stays"),
                _("its author can end it, or the page of the Alertmanager"),
            )
        failures: list[LabError] = []
        for server in self._servers:
            try:
                server.delete(f"/api/v2/silence/{silence_id}", end - time.monotonic())
            except LabError as error:
                failures.append(error)
            else:
                self._made.remove(silence_id)
                return
        raise failures[0]

    def close(self) -> None:
        """Close the connections."""
        for server in self._servers:
            server.close()

    def _find(self, fingerprint: str, end: float) -> tuple[LabServer, AlertEntry]:
        """Return the alert as it stands now, and who has it: what is shown of it may have been cut."""
        failures: list[LabError] = []
        for server in self._servers:
            try:
                for entry in self._alerts(server, end):
                    if entry.fingerprint == fingerprint:
                        return server, entry
            except LabError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        raise LabError(LabFailure.QUERY, _("the Alertmanager does not have this alert any more"))

    @staticmethod
    def _alerts(server: LabServer, end: float) -> list[AlertEntry]:
        return parse_alerts(server.name, server.get("/api/v2/alerts", end - time.monotonic()).json)

    @staticmethod
    def _silences(server: LabServer, end: float) -> list[SilenceEntry]:
        return parse_silences(server.name, server.get("/api/v2/silences", end - time.monotonic()).json)


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
