"""
Wayland's idle time through the program swayidle, for compositors that lack ext-idle-notify.

It also speaks the protocol of before, org_kde_kwin_idle, which is what Sway 1.7 has.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from typing import TYPE_CHECKING

from gpuwatch_tray.common.threads import run_forever, start_thread
from gpuwatch_tray.desktop.presence.idle_reports import IdleReports, ReportedSource
from gpuwatch_tray.desktop.presence.types import SWAYIDLE, Moment, PresenceReading, SuspendLog, moment
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


log = logging.getLogger(__name__)

IDLE, ACTIVE = b"idle", b"active"
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0  # seconds until the next start
STEADY = 60.0  # seconds of life after which the next pause is the first one again


def swayidle_command(swayidle: str, setpriv: str, away: float) -> list[str]:
    """
    Return the child's command; setpriv ends it with the thread that started it.

    -C /dev/null: the user's configuration would lock the screen twice. -w writes each word before the next.
    """
    words = [
        "timeout",
        f"{max(1, round(away))}",
        f"echo {IDLE.decode()}",
        "resume",
        f"echo {ACTIVE.decode()}",
    ]
    return [setpriv, "--pdeathsig", "TERM", swayidle, "-w", "-C", "/dev/null", *words]


class SwayIdle(ReportedSource):
    """
    The child, restarted with growing pauses when it ends, and the thread that reads from it.

    It is started once `wanted` is set: the compositor itself is asked first.
    """

    name = SWAYIDLE

    def __init__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        away: float,
        suspends: SuspendLog,
        *,
        wanted: threading.Event,
        first_pause: float = FIRST_PAUSE,
        clock: Callable[[], Moment] = moment,
    ) -> None:
        self._argv = list(argv)
        self._environ = dict(environ)
        self._first_pause = first_pause
        self._suspends = suspends
        self._clock = clock
        self._reports = IdleReports(max(1.0, away), suspends)
        self._problem = _("not needed, unless the compositor lacks ext-idle-notify")
        self._wanted = wanted
        self._lock = threading.Lock()  # no child starts after `close`
        self._child: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._thread = start_thread("presence-swayidle", run_forever, self.name, self._run, self._stop)

    def reading(self, now: Moment) -> PresenceReading | None:
        """Return what the child reported."""
        return self._reports.reading(self.name, now, now.boot)

    def state(self) -> str:
        """Explain a missing reading."""
        return self._problem

    def close(self) -> None:
        """End the child and the thread within half a second."""
        with self._lock:
            self._stop.set()
            self._wanted.set()
            child = self._child
        if child is not None:
            child.terminate()
        self._thread.join(0.4)
        if self._thread.is_alive() and child is not None:
            child.kill()
            self._thread.join(0.1)

    def _run(self) -> None:
        self._wanted.wait()
        self._problem = _("nothing reported yet")
        pause = self._first_pause
        while not self._stop.is_set():
            began = self._clock().awake
            self._live()
            if self._clock().awake - began >= STEADY:
                pause = self._first_pause
            self._stop.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _live(self) -> None:
        """Run one child from its start to its end."""
        with self._lock:
            if self._stop.is_set():
                return
            try:
                self._child = child = subprocess.Popen(
                    self._argv,
                    env=self._environ,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # a Ctrl-C in our terminal must not reach it
                )
            except OSError as error:
                self._problem = _("cannot be started: {error}").format(error=error)
                return
        self._reports.start(self._clock())
        try:
            for line in child.stdout or ():
                now = self._clock()
                self._suspends.observe(now)
                if line.strip() == IDLE:
                    self._reports.idle(now)
                elif line.strip() == ACTIVE:
                    self._reports.active(now)
        finally:
            self._reports.stop()
            child.kill()
            code = child.wait()
            if child.stdout is not None:
                child.stdout.close()
        self._problem = _("ended with exit status {code}; it is started again").format(code=code)
        log.debug("swayidle %s", self._problem)
