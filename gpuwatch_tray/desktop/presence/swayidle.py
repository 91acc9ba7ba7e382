"""ext-idle-notify, Wayland's protocol, through the program swayidle, which runs all the time."""

from __future__ import annotations

import logging
import subprocess
import threading
from typing import TYPE_CHECKING

from gpuwatch_tray.common.threads import run_forever, start_thread
from gpuwatch_tray.desktop.presence.types import Evidence, Moment, PresenceReading, SuspendLog, moment
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


log = logging.getLogger(__name__)

IDLE, ACTIVE = b"idle", b"active"
ANSWER_SLACK = 2.0  # seconds by which a report may be late
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


class SwayIdleState:
    """The state that the child's reports mean, for one child at a time. Pure."""

    def __init__(self, away: float, suspends: SuspendLog) -> None:
        self._away = max(1.0, away)
        self._suspends = suspends
        self._started: float | None = None  # these three are on the `awake` clock
        self._idle_at: float | None = None
        self._active_at = 0.0

    def start(self, now: Moment) -> None:
        """Note the start of a child; the last input is unknown."""
        self._started, self._idle_at, self._active_at = now.awake, None, 0.0

    def stop(self) -> None:
        """Note the child's end."""
        self._started = None

    def record(self, event: bytes, now: Moment) -> None:
        """Record a report of the child: IDLE or ACTIVE."""
        if event == IDLE:
            self._idle_at = now.awake
        elif event == ACTIVE:
            self._idle_at, self._active_at = None, now.awake

    def reading(self, source: str, now: Moment) -> PresenceReading | None:
        """
        Return idle since the child's report, else input since the start or the last resume.

        Input is known by the child's report, or by its silence for longer than `away`.
        """
        started, idle_at = self._started, self._idle_at
        if started is None:
            return None
        if idle_at is not None:
            idle = self._away + max(0.0, now.awake - idle_at) + self._suspends.slept_since(idle_at)
            return PresenceReading(source, Evidence.IDLE_AT_LEAST, now.boot, idle)
        since = max(started, self._suspends.last_resume())
        if self._active_at > since or now.awake - since > self._away + ANSWER_SLACK:
            return PresenceReading(source, Evidence.INPUT, now.boot)
        return None


class SwayIdle:
    """The child, restarted with growing pauses when it ends, and the thread that reads from it."""

    name = "swayidle"

    def __init__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        away: float,
        suspends: SuspendLog,
        *,
        first_pause: float = FIRST_PAUSE,
        clock: Callable[[], Moment] = moment,
    ) -> None:
        self._argv = list(argv)
        self._environ = dict(environ)
        self._first_pause = first_pause
        self._suspends = suspends
        self._clock = clock
        self._state = SwayIdleState(away, suspends)
        self._problem = _("nothing reported yet")
        self._lock = threading.Lock()  # no child starts after `close`
        self._child: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._thread = start_thread("presence-swayidle", run_forever, self.name, self._run, self._stop)

    def reading(self, now: Moment) -> PresenceReading | None:
        """Return what the child reported."""
        return self._state.reading(self.name, now)

    def state(self) -> str:
        """Explain a missing reading."""
        return self._problem

    def close(self) -> None:
        """End the child and the thread within half a second."""
        with self._lock:
            self._stop.set()
            child = self._child
        if child is not None:
            child.terminate()
        self._thread.join(0.4)
        if self._thread.is_alive() and child is not None:
            child.kill()
            self._thread.join(0.1)

    def _run(self) -> None:
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
        self._state.start(self._clock())
        try:
            for line in child.stdout or ():
                now = self._clock()
                self._suspends.observe(now)
                self._state.record(line.strip(), now)
        finally:
            self._state.stop()
            child.kill()
            code = child.wait()
            if child.stdout is not None:
                child.stdout.close()
        self._problem = _("ended with exit status {code}; it is started again").format(code=code)
        log.debug("swayidle %s", self._problem)
