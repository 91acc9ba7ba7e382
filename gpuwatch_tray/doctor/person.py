"""Whether it can be told that somebody is at the desk, and who tells."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from gpuwatch_tray import presence, redact
from gpuwatch_tray.doctor.line import Line, ok, warning
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Presence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpuwatch_tray.bus import SessionBus
    from gpuwatch_tray.presence import PresenceDetector

TOPIC = "presence"
PATIENCE = 3.0  # seconds for the first source to answer
EVERY = 0.1  # seconds


def look(bus: SessionBus | None, environ: Mapping[str, str], away: float) -> Iterator[Line]:
    """One line, after a few seconds at most."""
    with closing(presence.start_detector(bus, environ, away)) as desk:
        yield _told(desk)


def _told(desk: PresenceDetector) -> Line:
    until = time.monotonic() + PATIENCE
    while desk.check().presence is Presence.UNKNOWN and time.monotonic() < until:
        time.sleep(EVERY)
    answer, *sources = (redact.text(line) for line in desk.sources())
    if desk.check().presence is not Presence.UNKNOWN:
        return ok(TOPIC, answer)
    text = _("nothing here tells whether you are at the desk: {sources}").format(sources="; ".join(sources))
    mend = _("mail goes after ESCALATE_MIN without an answer; on Wayland install swayidle")
    return warning(TOPIC, text, mend)
