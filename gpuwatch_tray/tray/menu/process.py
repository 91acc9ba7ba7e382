"""The row of one process with its actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.language import _
from gpuwatch_tray.model import Missing, ProcessKind
from gpuwatch_tray.tray import text
from gpuwatch_tray.tray.menu.row import (
    ActionKind,
    MenuRow,
    action_row,
    offered_rows,
    submenu,
    text_row,
    text_rows,
)
from gpuwatch_tray.tray.menu.tell import process_reminder_rows
from gpuwatch_tray.units import local_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from gpuwatch_tray.model import GpuProcess, Snapshot

LOCAL_SOURCE = "nvml"  # the source whose processes run on this machine
LOCAL_ACTIONS = frozenset({ActionKind.END})


def process_row(
    parent: str, process: GpuProcess, offered: Collection[ActionKind], reminded: Collection[str] = ()
) -> MenuRow:
    """Return the row of a process under the GPU row `parent`, with its details and actions below."""
    subject = f"process:{process.pid}:{process.identity}"
    key = f"{parent}/{subject}"
    below = (*_details(key, process), *_action_rows(key, process, offered, reminded))
    return MenuRow(key, text.process_label(process), children=below, subject=subject, gone="Ended")


def kill_rows(
    unresponsive: Iterable[tuple[int, str]], snapshot: Snapshot | None, offered: Collection[ActionKind]
) -> list[MenuRow]:
    """Return a row for each process that was asked to end and did not, with the action to kill it."""
    held = snapshot.processes if snapshot is not None else ()
    known = {(process.pid, process.identity): process for process in held}
    rows: list[MenuRow] = []
    for pid, identity in sorted(unresponsive):
        process = known.get((pid, identity))
        target = f"{pid}:{identity}"
        confirm = _("Kill {process} now").format(process=_process_name(pid, process))
        kill = action_row(f"kill {target} now", confirm, ActionKind.KILL, target)
        label = _("PID {pid} did not end: kill it…").format(pid=pid)
        rows += submenu(f"kill {target}", label, offered_rows(offered, kill), urgent=True)
    return rows


def _details(key: str, process: GpuProcess) -> Iterable[MenuRow]:
    command = text.command_text(process) or _("not known")
    yield from text_rows(f"{key}/command", _("Command: {command}").format(command=command))
    yield text_row(f"{key}/folder", _("Folder: {folder}").format(folder=_folder(process)))
    started = process.started
    moment = text.missing_reason(started) if isinstance(started, Missing) else local_time(started)
    yield text_row(f"{key}/started", _("Started: {moment}").format(moment=moment))
    yield text_row(f"{key}/type", _("Type: {kinds}").format(kinds=text.usage_types(process)))


def _action_rows(
    key: str, process: GpuProcess, offered: Collection[ActionKind], reminded: Collection[str]
) -> Iterable[MenuRow]:
    command = text.clipboard_command(process)
    copies = [action_row(f"{key}/copy PID", _("Copy PID"), ActionKind.COPY_PID, str(process.pid))]
    if command:
        copies.append(action_row(f"{key}/copy command", _("Copy command"), ActionKind.COPY_COMMAND, command))
    yield from offered_rows(offered, *copies)
    yield from process_reminder_rows(key, process, offered, reminded)
    if process.mine and process.identity and process.pid > 0:
        confirm = _("End {process} now").format(process=_process_name(process.pid, process))
        target = f"{process.pid}:{process.identity}"
        below = offered_rows(offered, action_row(f"{key}/end now", confirm, ActionKind.END, target))
        if below and process.kinds == {ProcessKind.GRAPHICS}:
            warning = _("It draws on the screen: it may be your desktop itself")
            below.insert(0, text_row(f"{key}/drawing", warning))
        yield from submenu(f"{key}/end", _("End process…"), below)


def _process_name(pid: int, process: GpuProcess | None) -> str:
    name = text.program_name(process) if process is not None else ""
    return f"PID {pid} ({name})" if name else f"PID {pid}"


def _folder(process: GpuProcess) -> str:
    """Return the working folder of one's own process; other people's folders tell as much as commands."""
    if not process.mine:
        return _("not shown for other people's processes")
    return text.missing_reason(process.cwd) if isinstance(process.cwd, Missing) else redact.text(process.cwd)
