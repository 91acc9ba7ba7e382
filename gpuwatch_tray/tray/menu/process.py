"""The row of one process, and what can be done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Kind, Missing
from gpuwatch_tray.tray import text
from gpuwatch_tray.tray.menu import tell
from gpuwatch_tray.tray.menu.row import Act, Deed, Row, choice, clickable, plain, wrapped
from gpuwatch_tray.units import local_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from gpuwatch_tray.model import GpuProcess, Snapshot

LOCAL = "nvml"  # the source whose processes run here and whose identities are the system's own
LOCAL_ACTS = frozenset({Act.END})


def row(parent: str, process: GpuProcess, offered: Collection[Act], awaited: Collection[str] = ()) -> Row:
    """A process of the GPU row `parent`, with its details and its deeds below."""
    subject = f"process:{process.pid}:{process.identity}"
    key = f"{parent}/{subject}"
    below = (*_details(key, process), *_deeds(key, process, offered, awaited))
    return Row(key, text.process(process), children=below, subject=subject, gone="Ended")


def stubborn(
    unresponsive: Iterable[tuple[int, str]], snapshot: Snapshot | None, offered: Collection[Act]
) -> list[Row]:
    """A row for each process that was asked to end and did not, with the means to kill it."""
    held = snapshot.processes if snapshot is not None else ()
    known = {(process.pid, process.identity): process for process in held}
    rows: list[Row] = []
    for pid, identity in sorted(unresponsive):
        process = known.get((pid, identity))
        kill = Row(
            f"kill {pid}:{identity} now",
            _("Kill {process} now").format(process=_called(pid, process)),
            Deed(Act.KILL, f"{pid}:{identity}"),
        )
        label = _("PID {pid} did not end: kill it…").format(pid=pid)
        rows += choice(f"kill {pid}:{identity}", label, clickable(offered, kill), urgent=True)
    return rows


def _details(key: str, process: GpuProcess) -> Iterable[Row]:
    yield from wrapped(
        f"{key}/command", _("Command: {command}").format(command=text.command(process) or _("not known"))
    )
    yield plain(f"{key}/folder", _("Folder: {folder}").format(folder=_folder(process)))
    started = process.started
    moment = text.why(started) if isinstance(started, Missing) else local_time(started)
    yield plain(f"{key}/started", _("Started: {moment}").format(moment=moment))
    yield plain(f"{key}/type", _("Type: {kinds}").format(kinds=text.kinds(process)))


def _deeds(
    key: str, process: GpuProcess, offered: Collection[Act], awaited: Collection[str]
) -> Iterable[Row]:
    command = text.pasted(process)
    yield from clickable(
        offered,
        Row(f"{key}/copy PID", _("Copy PID"), Deed(Act.COPY_PID, str(process.pid))),
        *(
            [Row(f"{key}/copy command", _("Copy command"), Deed(Act.COPY_COMMAND, command))]
            if command
            else []
        ),
    )
    yield from tell.of_process(key, process, offered, awaited)
    if process.mine and process.identity and process.pid > 0:
        confirm = Row(
            f"{key}/end now",
            _("End {process} now").format(process=_called(process.pid, process)),
            Deed(Act.END, f"{process.pid}:{process.identity}"),
        )
        below = clickable(offered, confirm)
        if below and process.kinds == {Kind.GRAPHICS}:
            below.insert(
                0, plain(f"{key}/drawing", _("It draws on the screen: it may be your desktop itself"))
            )
        yield from choice(f"{key}/end", _("End process…"), below)


def _called(pid: int, process: GpuProcess | None) -> str:
    name = text.program(process) if process is not None else ""
    return f"PID {pid} ({name})" if name else f"PID {pid}"


def _folder(process: GpuProcess) -> str:
    """Where it works, for one's own processes only: other people's folders can tell as much as commands."""
    if not process.mine:
        return _("not shown for other people's processes")
    return text.why(process.cwd) if isinstance(process.cwd, Missing) else redact.text(process.cwd)
