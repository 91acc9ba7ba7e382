"""
What a tray says that cannot go on, or not even begin: at login nobody reads standard error.

It says so as a popup and in the log. That it starts again by itself is the session's business (launchd's
KeepAlive, a unit's Restart).
"""

from __future__ import annotations

import logging
import sys
import time

from gpuwatch_tray import redact
from gpuwatch_tray.bus import PLATFORMS_WITHOUT_BUS, BusUnavailableError, temporary_session
from gpuwatch_tray.context import WorkError
from gpuwatch_tray.language import _
from gpuwatch_tray.lock import LockError
from gpuwatch_tray.model import Popup, Severity
from gpuwatch_tray.notifiers import Popups
from gpuwatch_tray.notifiers.fallback import plyer_popups
from gpuwatch_tray.store import StoreError

log = logging.getLogger(__name__)

LINGER = 10.0  # seconds: GNOME takes the popup of a program with a menu entry away when it leaves the bus


def tell(error: Exception) -> None:
    """Tell that nothing is watched any more, and why; a person at the terminal is told there."""
    if sys.stderr is not None and sys.stderr.isatty():
        return
    foreseen = isinstance(error, WorkError | StoreError | LockError | OSError)
    why = redact.text(str(error) if foreseen else f"{type(error).__name__}: {error}")
    log.error("the tray ends: %s", why, extra={"in_file_only": True})
    advice = _(
        "Start it again. `gpuwatch-tray doctor` says what is wrong here, `doctor --log` what happened."
    )
    popup = Popup(
        "ended", _("gpuwatch-tray has ended: no GPU is watched"), f"{why}\n{advice}", Severity.CRITICAL
    )
    if sys.platform in PLATFORMS_WITHOUT_BUS:
        Popups([plyer_popups()]).show(popup)
        return
    from gpuwatch_tray.notifiers.desktop import DesktopPopups

    try:
        with temporary_session() as bus:
            if Popups([DesktopPopups(bus), plyer_popups()]).show(popup):
                time.sleep(LINGER)
    except BusUnavailableError:
        Popups([plyer_popups()]).show(popup)
