"""Which alerts are due on which channel, by the cooldown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from gpuwatch_tray.model import Alert


class Channel(Enum):
    """A way to tell the user."""

    EMAIL = "email"
    DESKTOP = "desktop"


class Reason(Enum):
    """Why a notice is due."""

    FIRST = "first"
    COOLDOWN_OVER = "cooldown-over"


@dataclass(frozen=True, slots=True)
class Due:
    """An alert that is to be told now, and why."""

    alert: Alert
    reason: Reason


def due(
    active: Iterable[Alert],
    sent: Mapping[str, float],
    now: float,
    cooldown: float,
    queued: AbstractSet[str] = frozenset(),
) -> tuple[Due, ...]:
    """
    The alerts to tell on one channel.

    `sent` maps fingerprints to the wall time of the last successful delivery on that channel, `queued`
    holds those already on their way. The cooldown of an alert runs from its delivery, also over an end
    and a new start of the condition: at its end a firing alert is told again. A delivery further than
    one cooldown in the future comes from a clock that was set back, and binds nobody.
    """
    notices = []
    for alert in active:
        if alert.fingerprint in queued:
            continue
        last = sent.get(alert.fingerprint)
        if last is None:
            notices.append(Due(alert, Reason.FIRST))
        elif abs(now - last) >= cooldown:
            notices.append(Due(alert, Reason.COOLDOWN_OVER))
    return tuple(notices)
