"""The output of `watch` and `ps --watch`: lines for a pipe; on a terminal a part is redrawn in place."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Protocol

from gpuwatch_tray import i18n
from gpuwatch_tray.app.watch_log import WatchLine, WatchLog
from gpuwatch_tray.common import redact
from gpuwatch_tray.common.queue_thread import QueueThread
from gpuwatch_tray.common.text import pad_to_width
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import LEVELS, Level, known
from gpuwatch_tray.model.units import gib, local_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self, TextIO

    from rich.console import RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    from gpuwatch_tray.model import Alert, Gpu, Status


WAITING = 200  # statuses that wait for a terminal that is stopped (Ctrl-S); later ones are left out
WORD_WIDTH = 7  # columns for the word in front of a line
STYLES = {
    Level.OK: "green",
    Level.SNOOZED: "blue",
    Level.WARNING: "yellow",
    Level.CRITICAL: "bold red",
    Level.NO_DATA: "magenta",
}
LOG_ROWS = 6  # of the terminal's height that stay for what stands above and around the list of GPUs


class StatusOutput(Protocol):
    """Shows each status of the watch."""

    def show(self, status: Status) -> None:
        """Show it soon; never blocks, for the caller is the thread that polls."""

    def stop(self, timeout: float) -> None:
        """Show what waits, for at most `timeout` seconds."""


def create_output(out: TextIO, *, hints: Sequence[str]) -> StatusOutput:
    """Return what fits `out`: a live summary on a terminal that can move its cursor, else lines alone."""
    if out.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return LiveOutput(out, hints)
    return LineOutput(out, hints)


def _own_stream(out: TextIO) -> TextIO:
    """Open what `out` writes to once more: a write that hangs must not hold `out` when the program ends."""
    return os.fdopen(os.dup(out.fileno()), "w", encoding=out.encoding, errors=out.errors)


def _make_live(out: TextIO) -> Live:
    """Make a part of the terminal that is redrawn in place, whenever it is told to."""
    from rich.console import Console
    from rich.live import Live

    return Live(console=Console(file=out, highlight=False, soft_wrap=False), auto_refresh=False)


def _start_live(live: Live) -> None:
    live.start()
    live.console.show_cursor(True)  # or a `kill -9` would leave the terminal without one


class LineOutput:
    """Writes a line for each piece of news, with date and time: for a file, a pipe or a service's journal."""

    def __init__(self, out: TextIO, hints: Sequence[str]) -> None:
        self._out = _own_stream(out)
        self._hints = tuple(hints)
        self._log = WatchLog()
        self._thread = QueueThread(self._write, "watch-output", WAITING)

    def show(self, status: Status) -> None:
        """Write the news of `status`."""
        self._thread.put(status)

    def stop(self, timeout: float) -> None:
        """Write what waits."""
        self._thread.stop(timeout)

    def _write(self, status: Status) -> None:
        for hint in self._hints:
            print(hint, file=self._out, flush=True)
        self._hints = ()
        for line in self._log.compare(status):
            word = pad_to_width(line.word, WORD_WIDTH)
            print(f"{local_time(status.at)}  {word}  {line.text}", file=self._out, flush=True)


class LiveOutput:
    """Writes the news above a summary of the GPUs that is redrawn in place, within the terminal's width."""

    def __init__(self, out: TextIO, hints: Sequence[str]) -> None:
        self._live = _make_live(_own_stream(out))
        self._console = self._live.console
        self._hints = tuple(hints)
        self._log = WatchLog()
        self._day = ""
        self._thread = QueueThread(self._draw, "watch-output", WAITING)

    def show(self, status: Status) -> None:
        """Write the news of `status` and redraw the summary."""
        self._thread.put(status)

    def stop(self, timeout: float) -> None:
        """Draw what waits; the last summary stays on the screen, with the word that it is the last."""
        if self._thread.stop(timeout):
            self._live.stop()
            self._console.print(_("Stopped."))

    def _draw(self, status: Status) -> None:
        if not self._live.is_started:
            self._start()
        for line in self._log.compare(status):
            self._console.print(self._news(status.at, line))
        self._live.update(self._summary(status), refresh=True)

    def _start(self) -> None:
        _start_live(self._live)
        for handler in logging.getLogger().handlers:
            if type(handler) is logging.StreamHandler:
                handler.setStream(sys.stderr)  # by now the one that writes above the summary

    def _news(self, at: float, line: WatchLine) -> Table:
        """Return one piece of news; what does not fit into the line goes on below its own beginning."""
        from rich.table import Table
        from rich.text import Text

        day = local_time(at, "%Y-%m-%d")
        if day != self._day:
            self._day = day
            self._console.print(Text(day, "dim"))
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(no_wrap=True)
        row.add_column(no_wrap=True, min_width=WORD_WIDTH)
        row.add_column(overflow="fold")
        style = STYLES[line.level]
        row.add_row(Text(local_time(at, "%H:%M:%S"), "dim"), Text(line.word, style), Text(line.text))
        return row

    def _summary(self, status: Status) -> RenderableType:
        from rich.console import Group
        from rich.rule import Rule
        from rich.text import Text

        level = i18n.translate_key(status.level.name.lower())
        head = Text.assemble((level, STYLES[status.level]), "  ", status.headline)
        time_text = Text(_("read at {time}").format(time=local_time(status.at, "%H:%M:%S")), "dim")
        hints = (Text(hint) for hint in self._hints)
        gpus = status.snapshot.gpus if status.snapshot is not None else ()
        alerts = list(_alert_rows(status.alerts))
        return Group(Rule(style="dim"), head, *alerts, self._gpus(status, gpus), time_text, *hints)

    def _gpus(self, status: Status, gpus: Sequence[Gpu]) -> Table:
        from rich.table import Table

        table = Table.grid(padding=(0, 2, 0, 0))
        for column in range(7):
            right = column > 1  # number and name are words, the rest are amounts
            table.add_column(justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
        around = LOG_ROWS + len(self._hints) + min(len(status.alerts), SHOWN_ALERTS + 1)
        rows = max(1, self._console.height - around)
        for gpu in gpus[:rows]:
            table.add_row(*gpu_cells(gpu, _processes(status, gpu)))
        if len(gpus) > rows:
            table.add_row("", _("and {count} more").format(count=len(gpus) - rows))
        return table


UNKNOWN_SIGN = "?"
SHOWN_ALERTS = 4


def _alert_rows(alerts: Sequence[Alert]) -> Iterator[Text]:
    """Yield the worst alerts with the number that `alerts ack` and `alerts snooze` take."""
    from rich.text import Text

    for alert in alerts[:SHOWN_ALERTS]:
        quiet = alert.acknowledged or alert.snoozed_until is not None
        style = STYLES[Level.SNOOZED if quiet else LEVELS[alert.severity]]
        yield Text.assemble((f"#{alert.id}", style), f"  {alert.message}")
    if len(alerts) > SHOWN_ALERTS:
        yield Text(_("and {count} more").format(count=len(alerts) - SHOWN_ALERTS))


def gpu_cells(gpu: Gpu, processes: str) -> Iterator[str]:
    """Yield a GPU's cells: its number, name, use, memory, temperature, power and processes."""
    yield f"GPU {gpu.index}"
    yield redact.visible(known(gpu.name) or "")
    if gpu.problem is not None:
        yield redact.visible(gpu.problem)
        return
    memory = [
        None if value is None else gib(value) for value in (known(gpu.memory_used), known(gpu.memory_total))
    ]
    yield _amount(known(gpu.utilisation), "%")
    yield f"{' / '.join(half or UNKNOWN_SIGN for half in memory)} GiB"
    yield _amount(known(gpu.temperature), "°C")
    yield _amount(known(gpu.power), "W")
    yield processes


def _amount(value: float | None, unit: str) -> str:
    return f"{UNKNOWN_SIGN if value is None else f'{value:.0f}'} {unit}"


def _processes(status: Status, gpu: Gpu) -> str:
    """Return how many processes compute on `gpu`, with a sign where the list is not whole."""
    if status.snapshot is None:
        return ""
    device = gpu.uuid if gpu.physical else ""
    count = sum(row.gpu == gpu.index and row.device == device for row in status.snapshot.computing)
    text = ngettext("{count} process", "{count} processes", count).format(count=count)
    return f"{text} {UNKNOWN_SIGN}" if gpu.process_problem is not None else text


class LiveListing:
    """Redraws a text in place on a terminal, as `ps --watch` does; what is too long for it is counted."""

    def __init__(self, out: TextIO, hint: str) -> None:
        self._live = _make_live(out)
        self._hint = hint

    def __enter__(self) -> Self:
        _start_live(self._live)
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()

    def show(self, text: str, at: float) -> None:
        """Draw `text` and the time (seconds since the epoch) of its reading."""
        from rich.text import Text

        lines = text.splitlines()
        rows = max(1, self._live.console.height - 3)  # for the hint, what is left out and the cursor
        more = []
        if len(lines) > rows:
            left_out = len(lines) - rows
            more = [
                ngettext("... {count} more line", "... {count} more lines", left_out).format(count=left_out)
            ]
        last = _("read at {time}").format(time=local_time(at, "%H:%M:%S"))
        shown = "\n".join([*lines[:rows], *more, f"{last} · {self._hint}"])
        self._live.update(Text(shown, no_wrap=True, overflow="ellipsis"), refresh=True)
