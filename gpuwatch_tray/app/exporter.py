"""
Where the exporter has its rows from.

They are those of the running tray or `watch`, which has read the GPUs already; else of its own readings, of
which nobody judges by the rules.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from concurrent.futures import Future
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray import __version__
from gpuwatch_tray.app.bootstrap import open_store
from gpuwatch_tray.app.context import WorkError, open_source
from gpuwatch_tray.app.export_answer import export_request, rows_from_json
from gpuwatch_tray.app.tray_client import try_request
from gpuwatch_tray.common import redact
from gpuwatch_tray.common.threads import start_thread
from gpuwatch_tray.engine.inventory import complete_snapshot
from gpuwatch_tray.export.reading_tally import ReadingTally
from gpuwatch_tray.export.rows import blind_rows, build_rows
from gpuwatch_tray.i18n import _
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.export.rows import Rows
    from gpuwatch_tray.model import ExportSettings
    from gpuwatch_tray.sources import Source
    from gpuwatch_tray.store import KnownGpu


log = logging.getLogger(__name__)

ASK_WITHIN = 3.0  # seconds for it to answer
SCRAPE_WITHIN = 5.0  # seconds for all; Prometheus gives up after 10
FRESH = 1.0  # seconds for which a reading is told again: replicas scrape side by side
DRIVER_VERSION = Path("/sys/module/nvidia/version")


class ExportFeed:
    """
    The rows of now, for any number of threads, in bounded time.

    One reading is under way at a time. While one hangs, the answer is that nothing can be read. `wait` is how
    long a scrape waits for one; `clock` is steady.
    """

    def __init__(
        self,
        context: RunContext,
        *,
        wait: float = SCRAPE_WITHIN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._wait = wait
        self._clock = clock
        self._lock = threading.Lock()
        self._tally = ReadingTally(time.time())
        self._source: Source | None = None
        self._under_way: Future[tuple[Rows, float | None]] | None = None
        self._late = False
        self._last: tuple[Rows, float | None] | None = None
        self._last_at = 0.0
        self._good: float | None = None  # wall time of the last reading that anybody told of
        self._trouble: dict[str, str] = {}

    def read(self) -> tuple[Rows, float | None]:
        """Return the rows, and since when (wall time) Xids are counted. Never raises."""
        with self._lock:
            if self._last is not None and self._clock() - self._last_at < FRESH:
                return self._dated(self._last)
            if self._under_way is None:
                self._under_way, self._late = Future(), False
                start_thread("export-read", self._run, self._under_way)
            under_way, wait = self._under_way, 0.0 if self._late else self._wait
        try:
            found = under_way.result(wait)
        except TimeoutError:
            with self._lock:
                self._late = self._late or under_way is self._under_way
            self._tell(_("reading the GPUs hangs"))
            found = blind_rows(self._good), None
        return self._dated(found)

    def blind(self) -> tuple[Rows, float | None]:
        """Return what is told when nobody reads any more."""
        return self._dated((blind_rows(self._good), None))

    def close(self) -> None:
        """Let go of the driver."""
        with self._lock:
            source, self._source = self._source, None
        if source is not None:
            source.close()

    def _run(self, answer: Future[tuple[Rows, float | None]]) -> None:
        try:
            found = self._ask()
        except Exception:
            log.exception("export: the reading failed")
            found = blind_rows(self._good), None
        with self._lock:
            self._last, self._last_at, self._under_way = found, self._clock(), None
            stamp = found[0].get("last_reading_timestamp_seconds", {}).get(())
            self._good = self._good if stamp is None else stamp
        answer.set_result(found)

    def _ask(self) -> tuple[Rows, float | None]:
        export = self._context.settings.export
        try:
            answer = try_request(self._context, export_request(export), ASK_WITHIN)
        except WorkError as error:
            self._tell(str(error))
            return blind_rows(self._good), None
        if answer is None:
            return self._read_here(export)
        self.close()  # the running one reads
        self._tell("")
        return rows_from_json(answer["rows"]), float(answer["since"])

    def _read_here(self, export: ExportSettings) -> tuple[Rows, float | None]:
        with self._lock:
            if self._source is None:
                self._source = open_source(self._context)
                self._tally = ReadingTally(time.time())
            source, tally = self._source, self._tally
        snapshot = source.read()
        inventory = self._inventory()
        snapshot = complete_snapshot(snapshot, inventory or ())
        tally.add(snapshot)
        self._tell(str(snapshot.problem or ""))
        rows = build_rows(snapshot, tally, self._context.settings.limits, export, None)
        if inventory is None:
            rows.pop("gpus_expected", None)  # a lost one would look as if it had never been there
        return rows, tally.since

    def _inventory(self) -> tuple[KnownGpu, ...] | None:
        """Return the GPUs that this machine is known to have; None where that cannot be told."""
        try:
            with closing(open_store(self._context)) as store:
                found = store.gpus()
        except StoreError as error:
            self._tell(str(error), "inventory")
            return None
        self._tell("", "inventory")
        return found

    def _tell(self, trouble: str, about: str = "reading") -> None:
        """Log why the GPUs, or the inventory of them, cannot be read: once, and its end too."""
        if trouble != self._trouble.get(about, ""):
            if trouble:
                log.warning("export: %s", redact.text(trouble))
            else:
                log.warning("export: the %s works again", about)
            self._trouble[about] = trouble

    def _dated(self, found: tuple[Rows, float | None]) -> tuple[Rows, float | None]:
        """Add what is true of this moment and this program."""
        rows, since = found
        settings = self._context.settings
        own = (__version__, _driver(), self._context.source.value, settings.export.users.value)
        return {
            "build_info": {own: 1.0},
            "host_clock_timestamp_seconds": {(): time.time()},
            **rows,
        }, since


def _driver() -> str:
    """Return the version of the kernel's module; empty where it is not known."""
    try:
        return redact.visible(DRIVER_VERSION.read_text().strip())
    except (OSError, ValueError):
        return ""


def write_textfile(file: Path, text: str) -> None:
    """Replace `file` by `text` at once, readable by everybody: node_exporter has a user of its own."""
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")  # node_exporter reads what ends in .prom
    try:
        with os.fdopen(
            os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644), "w", encoding="utf-8"
        ) as out:
            if hasattr(os, "fchmod"):
                os.fchmod(out.fileno(), 0o644)  # whatever the umask is
            out.write(text)
        part.replace(file)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
