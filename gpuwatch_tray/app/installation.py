"""
The program's own files while it runs: an upgrade of the package or of Python replaces them under it.

Where the new ones can be used, the program starts itself anew in its process, with the same words; all that
it must remember is on disk. Where they cannot, it goes on with what it has loaded, and says what is wrong.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.common import host
from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.common.threads import PeriodicThread
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Popup, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.app.monitor import Monitor
    from gpuwatch_tray.notify.sinks import PopupSink


log = logging.getLogger(__name__)

LOOK_EVERY = 10.0  # seconds; what is the same at two looks is no longer being replaced
AT_REST = 3  # times as long to the next look while nothing has changed
TRY_AGAIN = 60.0  # seconds between two trials of an installation that does not work
TRIAL_TIMEOUT = 60.0  # seconds for the trial's imports, on a busy machine
RESTART_DISTANCE = 600.0  # seconds from a start by itself to the next: files that never come to rest
STOP_TIMEOUT = 0.2  # seconds that the last look may take at the end
RESTARTED = "GPUWATCH_TRAY_RESTARTED"  # the variable that tells a process that it was started by itself
POPUP_KEY = "installation"
PACKAGE = Path(__file__).parent.parent
VERSION = late_pattern(r'^__version__ = "([^"]*)"', re.MULTILINE)
# What the tray and `watch` load at their start.
TRIAL = "import gpuwatch_tray.cli, gpuwatch_tray.app.tray_app, gpuwatch_tray.app.headless"


class Installation(Struct, frozen=True):
    """
    What tells one installation from another.

    The package's version, when pip wrote it, and the interpreter; of the latter two time in ns and size. What
    is None is not there: a checkout has no note of pip's.
    """

    version: str | None
    installed: tuple[int, int] | None
    interpreter: tuple[int, int] | None


def look(package: Path = PACKAGE, interpreter: str = sys.executable) -> Installation:
    """Look at the files of the running program."""
    try:
        found = VERSION.search((package / "__init__.py").read_text("utf-8"))
    except (OSError, ValueError):
        found = None
    records = sorted(package.parent.glob(f"{package.name}-*.dist-info/RECORD"))
    installed = _stamp(records[-1]) if records else None
    return Installation(found and found[1], installed, _stamp(Path(interpreter)))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()  # of what a link leads to
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def trial() -> str:
    """Start a short child with what is on disk; return why it cannot be used, or nothing."""
    command = [*host.this_program()[:-2], "-c", TRIAL]
    try:
        tried = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TRIAL_TIMEOUT,
            check=False,
        )
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        return _("no answer within {seconds:g} s").format(seconds=TRIAL_TIMEOUT)
    if tried.returncode == 0:
        return ""
    lines = tried.stderr.strip().splitlines()
    return lines[-1] if lines else _("exit code {code}").format(code=tried.returncode)


class InstallationWatch:
    """
    Looks at the program's files every 30 s, on a thread of its own: their disk may hang.

    `restart` ends the program so that `start_anew` follows; `may_restart` says whether nothing would be lost
    by it at present. The other arguments stand for the machine.
    """

    def __init__(
        self,
        monitor: Monitor,
        popups: PopupSink | None,
        restart: Callable[[], None] | None,
        may_restart: Callable[[], bool],
        *,
        look: Callable[[], Installation] = look,
        trial: Callable[[], str] = trial,
        monotonic: Callable[[], float] = time.monotonic,
        restarted: bool = False,
    ) -> None:
        self._monitor, self._popups = monitor, popups
        self._restart, self._may_restart = restart, may_restart
        self._look, self._trial, self._monotonic = look, trial, monotonic
        self._running = self._last = look()
        self._earliest = monotonic() + (RESTART_DISTANCE if restarted else 0.0)
        self._try_at = 0.0
        self._why: str | None = None  # the new files cannot be used; None where they were not tried yet
        self._thread = PeriodicThread(self.check, LOOK_EVERY, "installation", delay=LOOK_EVERY)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._thread.stop(STOP_TIMEOUT)

    def check(self) -> float | None:
        """Look; say what is wrong, or start anew; on the thread. Return the seconds to the next look."""
        seen = self._look()
        self._consider(seen)
        return AT_REST * LOOK_EVERY if seen == self._running else None

    def _consider(self, seen: Installation) -> None:
        before, self._last = self._last, seen
        if seen != before or seen == self._running:  # under way; or as it was, perhaps again
            self._why = None
            if seen == self._running:
                self._tell("")
            return
        now = self._monotonic()
        if self._why is None or (self._why and now >= self._try_at):
            self._try_at = now + TRY_AGAIN
            self._why = self._trial()
            self._tell(self._why and self._trouble(self._why))
        if self._why:
            return
        if self._restart is None:
            self._tell(_("gpuwatch-tray was replaced by another version on disk (restart gpuwatch-tray)"))
        elif now >= self._earliest and self._may_restart():
            log.info("the program on disk is another one now (version %s): it starts anew", seen.version)
            self._restart()

    def _trouble(self, why: str) -> str:
        fix = _("install it again; the running program continues, and restarts by itself afterwards")
        if self._restart is None:
            fix = _("restart gpuwatch-tray, or install it again")
        text = _("the installation of gpuwatch-tray is gone or does not work: {why} ({fix})")
        return text.format(why=why, fix=fix)

    def _tell(self, trouble: str) -> None:
        if trouble == self._monitor.program_trouble:
            return
        self._monitor.set_program_trouble(trouble)
        if trouble:
            log.warning("%s", trouble)
        if self._popups is not None:
            if trouble:
                title = _("gpuwatch-tray was replaced while running")
                self._popups.show(Popup(POPUP_KEY, title, trouble, Severity.WARNING))
            else:
                self._popups.close(POPUP_KEY)


class Relaunch:
    """Whether this process is to start the program anew when it has ended."""

    possible = sys.platform != "win32"  # where the files in use cannot be replaced, nor a process
    wanted = False

    def watch(
        self, monitor: Monitor, popups: PopupSink | None, stop: Callable[[], None], may: Callable[[], bool]
    ) -> InstallationWatch:
        """Make the watch of the program's files; `stop` ends the program."""

        def restart() -> None:
            self.wanted = True
            stop()

        restarted = bool(os.environ.get(RESTARTED))
        return InstallationWatch(
            monitor, popups, restart if self.possible else None, may, restarted=restarted
        )

    def start_anew(self) -> None:
        """Become the program on disk, with the same words, if that is wanted; all is closed already."""
        if self.wanted:
            logging.shutdown()
            for number in range(3, 1024):  # what a library has opened would stay open for good
                with contextlib.suppress(OSError):
                    os.set_inheritable(number, False)
            command = [*host.this_program(), *sys.argv[1:]]
            os.execve(command[0], command, os.environ | {RESTARTED: "1"})  # noqa: S606  # itself
