"""
The data file of the details page, which this program rewrites while the page is wanted.

The page loads it as a script from beside itself: from `file:` that works in every browser, and needs no port
that others could reach. Nobody can tell whether the page is still looked at, so each opening is followed for
an hour, and the page says when that is over.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.report_page import write_page
from gpuwatch_tray.common.loading import LateModule
from gpuwatch_tray.common.private import is_private_folder
from gpuwatch_tray.i18n import _
from gpuwatch_tray.ipc import RequestRefusedError
from gpuwatch_tray.model import AlertMark, GpuFacts, Phase, gpu_subject
from gpuwatch_tray.model.units import HOUR
from gpuwatch_tray.report import present
from gpuwatch_tray.report.script_json import script_safe_json
from gpuwatch_tray.rules.verdict import GpuLookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from gpuwatch_tray.app import lab_json
    from gpuwatch_tray.model import GpuProcess, GpuSample, Instant, LabStatus, Status
    from gpuwatch_tray.report import lab_page
else:
    lab_json = LateModule("gpuwatch_tray.app.lab_json")
    lab_page = LateModule("gpuwatch_tray.report.lab_page")


log = logging.getLogger(__name__)

FOLLOWED = 1 * HOUR  # seconds after the last opening
LOOK_EVERY = 1.0  # seconds between two looks whether there is a new status
HEARTBEAT = 5.0  # seconds after which the same is written again: the page takes silence for our end
MOST_MINUTES = FOLLOWED // 60 + 1
MOST_PROCESSES = 50  # those that the page's table shows before it is asked for more: the newest
CALL = "gpuwatchLive"  # the page's function that the file calls


def file_name(state_name: str) -> str:
    """Return the data file's name, beside the page of this state."""
    return f"{state_name}.live.js"


def build_news(
    status: Status,
    live: Mapping[str, Any],
    minutes: Iterable[tuple[int, Mapping[str, Any]]],
    words: Callable[[GpuProcess], present.ProcessWords] = present.process_words,
) -> dict[str, Any]:
    """
    Build what the page is told of the present; `live` is what `control.present_answer` makes of `status`.

    `minutes` are the minutes that have ended since: their start, and by a GPU's UUID the values as
    `present.sample_values` has them. Strings of others are values in it, never names.
    """
    rows = live["gpus"]
    gpus = []
    for row in rows:
        facts = GpuFacts(row["uuid"] or str(row["index"]), row["index"], memory_total=row["memory_total"])
        gpus.append(
            {
                "id": facts.uuid,
                "state": present.gpu_state(facts, (), (), live),
                "facts": present.gpu_facts(facts, live),
                "total": present.mib(row["memory_total"]),
                "values": None if row["problem"] else present.gpu_values(row),
            }
        )
    notes = {alert["id"]: alert["note"] for alert in live["alerts"]}
    alerts = [
        present.alert_data(
            AlertMark(alert.id, alert.rule, alert.severity, alert.message, alert.fired.wall, None),
            notes.get(alert.id, ""),
        )
        for alert in status.alerts
        if alert.fired is not None and alert.phase is not Phase.PENDING
    ]
    processes, pids = _processes(status, words) if rows else ([], {})
    return {
        "at": status.at,
        "state": present.overall_state(live, status.at),
        "gpus": gpus,
        "alerts": alerts,
        "processes": processes,
        "pids": list(pids.items()),
        "minutes": [[at, list(values.items())] for at, values in minutes],
    }


def _processes(
    status: Status, words: Callable[[GpuProcess], present.ProcessWords]
) -> tuple[list[dict[str, Any]], dict[str, list[int]]]:
    """Return the newest processes, and the PIDs of all by GPU."""
    snapshot = status.snapshot
    if snapshot is None:
        return [], {}
    places = GpuLookup(snapshot)
    pids: dict[str, list[int]] = {}
    found = []
    for process in snapshot.processes:
        gpu = places.of(process)
        uuid = process.device if gpu is None else gpu_subject(gpu)
        pids.setdefault(uuid, []).append(process.pid)
        found.append((process, uuid))
    newest = sorted(found, key=lambda each: present.started(each[0], status.at), reverse=True)
    rows = [
        present.process_data(process, uuid, words(process), status.at)
        for process, uuid in newest[:MOST_PROCESSES]
    ]
    return rows, pids


class KnownWords:
    """The words of the processes that were asked for last, worked out once."""

    def __init__(self) -> None:
        self._before: dict[object, present.ProcessWords] = {}
        self._now: dict[object, present.ProcessWords] = {}

    def begin(self) -> None:
        """Forget what was not asked for since the last time."""
        self._before, self._now = self._now, {}

    def of(self, process: GpuProcess) -> present.ProcessWords:
        """Return what `present.process_words` does."""
        key = (process.pid, process.mine, process.name, process.command)
        found = self._before.get(key) or present.process_words(process)
        self._now[key] = found
        return found


class PageFeed:
    """
    Writes the data file from `follow` on, on a thread of its own: a slow disk holds up no poll.

    `status` returns what is shown at present, `live` the answer about it; `poll` is in seconds.
    """

    def __init__(
        self,
        name: str,
        status: Callable[[], Status],
        live: Callable[[Status], Mapping[str, Any]],
        clock: Callable[[], Instant],
        poll: Callable[[], float],
    ) -> None:
        self._name = name
        self._status = status
        self._live = live
        self._clock = clock
        self._poll = poll
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._folder: Path | None = None
        self._opened: Instant | None = None
        self._shown: Status | None = None
        self._written: Instant | None = None
        self._minutes: deque[tuple[int, dict[str, Any]]] = deque(maxlen=MOST_MINUTES)
        self._trouble = ""
        self._words = KnownWords()
        self._lab_shown: LabStatus | None = None
        self._lab_news: dict[str, Any] | None = None  # of `_lab_shown`: hundreds of hosts change seldom

    def follow(self, folder: Path) -> dict[str, Any]:
        """Write the file into this folder now, and for an hour. Raises RequestRefusedError."""
        _require_private(folder)
        with self._lock:
            self._folder, self._opened = folder, self._clock()
            try:
                self._write_news(self._opened)
            except OSError as error:
                self._folder = None
                raise RequestRefusedError(f"{folder / self._name}: {error.strerror or error}") from error
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="page", daemon=True)
                self._thread.start()
        return {"file": self._name}

    def add_minute(self, samples: Iterable[GpuSample]) -> None:
        """Take a minute that has ended, from any thread; without a page that follows it is dropped."""
        rows = tuple(samples)
        if self._folder is not None and rows:
            values = {sample.uuid: present.sample_values(sample) for sample in rows}
            self._minutes.append((rows[0].at, values))

    def stop(self, timeout: float) -> None:
        """Have the file say that this program has ended; wait at most so many seconds for the disk."""
        self._ended.set()
        if (thread := self._thread) is not None:
            thread.join(timeout)

    def tick(self) -> bool:
        """Write what is new; return whether the page is still wanted."""
        with self._lock:
            if self._folder is None or self._opened is None:
                self._thread = None
                return False
            now = self._clock()
            if not 0 <= now.since(self._opened) < FOLLOWED:
                self._finish("stopped")
                self._thread = None
                return False
            quiet = self._written is not None and 0 <= now.since(self._written) < HEARTBEAT
            if self._status() is self._shown and quiet:
                return True
            try:
                self._write_news(now)
                self._trouble = ""
            except OSError as error:
                trouble = f"{self._folder}: {error.strerror or error}"
                if trouble != self._trouble:  # the same one again would only fill the log
                    log.warning("the details page is not followed: %s", trouble)
                self._trouble = trouble
            return True

    def _run(self) -> None:
        try:
            while not self._ended.wait(LOOK_EVERY):
                if not self.tick():
                    return
            with self._lock:
                self._finish("ended")
        except Exception:
            log.exception("the details page is not followed any more")
            with self._lock:
                self._thread = None

    def _write_news(self, now: Instant) -> None:
        shown = self._status()
        opened = self._opened or now
        self._words.begin()
        news = build_news(shown, self._live(shown), tuple(self._minutes), self._words.of)
        if shown.lab is not self._lab_shown:
            self._lab_shown = shown.lab
            self._lab_news = None if shown.lab is None else lab_page.lab_data(lab_json.build_lab(shown.lab))
        news |= {"lab": self._lab_news}
        news |= {"until": opened.wall + FOLLOWED, "poll": self._poll()}
        self._write(news, now)
        self._shown, self._written = shown, now

    def _finish(self, how: str) -> None:
        """Leave a file that tells no more than the end, and how it came."""
        if self._folder is None:
            return
        now = self._clock()
        try:
            self._write({how: now.wall}, now)
        except OSError as error:
            log.info("the details page cannot be told that it has %s: %s", how, error)
        self._folder = None
        self._minutes.clear()

    def _write(self, news: Mapping[str, Any], now: Instant) -> None:
        if self._folder is not None:
            text = f"{CALL}({script_safe_json({**news, 'written': round(now.wall, 3)})});\n"
            write_page(self._folder / self._name, text)


def _require_private(folder: Path) -> None:
    """Refuse a folder that is not this user's alone: the file holds command lines."""
    if not folder.is_absolute() or not is_private_folder(folder):
        raise RequestRefusedError(_("{folder}: not a folder that only you can read").format(folder=folder))
