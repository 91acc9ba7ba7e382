"""The check of presence: whether something tells that the person is at the desk."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from gpuwatch_tray import presence, redact
from gpuwatch_tray.doctor.line import CheckResult, ok, warning
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Presence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpuwatch_tray.bus import SessionBus
    from gpuwatch_tray.presence import PresenceDetector

PRESENCE_TOPIC = "presence"
PRESENCE_TIMEOUT = 3.0  # seconds for the first source to answer
PRESENCE_POLL = 0.1  # seconds


def check_presence(bus: SessionBus | None, environ: Mapping[str, str], away: float) -> Iterator[CheckResult]:
    """Check whether a source answers within a few seconds."""
    with closing(presence.start_detector(bus, environ, away)) as desk:
        yield _presence_result(desk)


def _presence_result(desk: PresenceDetector) -> CheckResult:
    until = time.monotonic() + PRESENCE_TIMEOUT
    while desk.check().presence is Presence.UNKNOWN and time.monotonic() < until:
        time.sleep(PRESENCE_POLL)
    answer, *sources = (redact.text(line) for line in desk.sources())
    if desk.check().presence is not Presence.UNKNOWN:
        return ok(PRESENCE_TOPIC, answer)
    text = _("nothing here tells whether you are at the desk: {sources}").format(sources="; ".join(sources))
    mend = _("mail goes after ESCALATE_MIN without an answer; on Wayland install swayidle")
    return warning(PRESENCE_TOPIC, text, mend)
