"""
The tray as the application knows it: show a status, run, stop.

The icon's main loop has the main thread. `show` leaves the latest status in a mailbox of one slot and wakes
the loop. Clicks are carried out away from the loop, so that a slow action never freezes the menu.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gpuwatch_tray.tray import menu
from gpuwatch_tray.tray.menu import Act, Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.bus import SessionBus
    from gpuwatch_tray.model import Level, Status

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Actions:
    """What the menu's rows do. `quit` shall end in `Tray.stop`."""

    check_now: Callable[[], None]
    send_test_mail: Callable[[], None]
    quit: Callable[[], None]


@dataclass(frozen=True, slots=True)
class View:
    """What is to be seen: the icon's state, the tooltip and the menu."""

    level: Level
    title: str
    rows: tuple[Row, ...]


class Backend(Protocol):
    """One system's way to draw a tray icon."""

    def run(self, ready: Callable[[], None]) -> None:
        """Draw on this thread, the main one, until `stop`; call `ready` once clicks and pictures can pass."""

    def stop(self) -> None:
        """Make `run` return; from any thread, also before it."""

    def post(self, job: Callable[[], None]) -> None:
        """Have the drawing thread run `job` soon; from any thread, also before `run`."""

    def present(self, view: View) -> None:
        """Draw `view`; on the drawing thread only."""


class Headless:
    """No tray to draw on: the same life without an icon."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def run(self, ready: Callable[[], None]) -> None:
        """Wait for `stop`."""
        ready()
        self._stopped.wait()

    def stop(self) -> None:
        """Make `run` return."""
        self._stopped.set()

    def post(self, job: Callable[[], None]) -> None:
        """Nothing is drawn."""

    def present(self, view: View) -> None:
        """Nothing is drawn."""


class Tray:
    """The tray icon; `drawn` is False where there is nothing to draw on and it runs headless."""

    def __init__(self, bus: SessionBus | None, actions: Actions, *, name: str = "gpuwatch-tray") -> None:
        self._name = name
        self._worker = _Worker(actions)
        self._lock = threading.Lock()
        self._latest: Status | None = None
        backend = choose(bus, name, self._worker.perform)
        self.drawn = backend is not None
        self._backend: Backend = backend or Headless()

    @property
    def notify(self) -> Callable[[str, str], None] | None:
        """The icon's own way to show a popup (title, body), where it has one."""
        return getattr(self._backend, "notify", None)

    def run(self, ready: Callable[[], None]) -> None:
        """
        Show the icon on the main thread until `stop`.

        `ready` is called once, on a thread of its own where there is an icon, when the icon is exported; what
        it raises ends the tray and is raised here.
        """
        failed: list[BaseException] = []

        def begin() -> None:
            try:
                ready()
            except BaseException as error:  # noqa: BLE001  # handed to the main thread, whole
                failed.append(error)
                self.stop()

        self._worker.start()
        try:
            self._backend.run(begin)
        finally:
            self._worker.end()
        if failed:
            raise failed[0]

    def stop(self) -> None:
        """Make `run` return; from any thread, also before `run`, also twice."""
        self._backend.stop()

    def show(self, status: Status) -> None:
        """Show `status`; from any thread, and the latest wins."""
        with self._lock:
            waiting, self._latest = self._latest, status
        if waiting is None:
            self._backend.post(self._drain)

    def _drain(self) -> None:
        with self._lock:
            status, self._latest = self._latest, None
        if status is not None:
            self._backend.present(View(status.level, menu.headline(status), menu.rows(status)))


def choose(bus: SessionBus | None, name: str, perform: Callable[[Act], None]) -> Backend | None:
    """The backend of this system; None on a Linux without a session bus."""
    # Late imports: what one system draws with is not installed on the others.
    backend: Backend | None = None
    if sys.platform in {"win32", "darwin"}:
        from gpuwatch_tray.tray.native import NativeBackend  # noqa: PLC0415

        backend = NativeBackend(name, perform)
    elif bus is not None:
        from gpuwatch_tray.tray.linux import SniBackend  # noqa: PLC0415

        backend = SniBackend(bus, name, perform)
    return backend


class _Worker:
    """
    Carries out clicks one after the other, each at most once at a time.

    Quit has a thread of its own: it must not wait behind a mail that a server is slow to take.
    """

    def __init__(self, actions: Actions) -> None:
        self._calls = {Act.CHECK_NOW: actions.check_now, Act.SEND_TEST_MAIL: actions.send_test_mail}
        self._quit = actions.quit
        self._waiting: queue.Queue[Act | None] = queue.Queue()
        self._pending: set[Act] = set()  # bounds the queue: at most one of each
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="tray-actions", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._waiting.put(None)

    def perform(self, act: Act) -> None:
        """Have it done soon; a click on what is still under way is not a second one."""
        log.info("menu: %s", act.value)
        with self._lock:
            if act in self._pending:
                return
            self._pending.add(act)
        if act is Act.QUIT:
            threading.Thread(target=self._quit, name="tray-quit", daemon=True).start()
        else:
            self._waiting.put(act)

    def _run(self) -> None:
        while (act := self._waiting.get()) is not None:
            try:
                self._calls[act]()
            except Exception:  # a fault in one action must not leave a menu that does nothing
                log.exception("the menu's '%s' failed", act.value)
            with self._lock:
                self._pending.discard(act)
