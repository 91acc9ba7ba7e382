"""The rows of GPUs, processes, reminders and users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.proclist import gpus_text, user_totals
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import Missing, ProcessKind, known
from gpuwatch_tray.model.units import MIB, local_time, memory_text
from gpuwatch_tray.tray.menu import labels
from gpuwatch_tray.tray.menu.row import (
    ActionKind,
    LazyRows,
    MenuRow,
    action_row,
    offered_rows,
    submenu,
    text_row,
    text_rows,
    unique_rows,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from gpuwatch_tray.common.proclist import UserTotal
    from gpuwatch_tray.model import Gpu, GpuProcess, PendingReminder, Snapshot, Status


MAX_GPUS = 16  # numbers of GPUs offered


def reminder_rows(status: Status, offered: Collection[ActionKind]) -> list[MenuRow]:
    """Return the submenu of what one can be told of: the pending reminders, then numbers of free GPUs."""
    rows = (*pending_rows(status, offered), *free_gpu_rows(status, offered))
    return [MenuRow("when free", _("Notify me when…"), children=rows)] if rows else []


def pending_rows(status: Status, offered: Collection[ActionKind]) -> list[MenuRow]:
    """Return a row for each reminder that is waited for on this computer."""
    return [_pending_reminder(reminder, offered) for reminder in status.awaited]


def process_reminder_rows(
    key: str, process: GpuProcess, offered: Collection[ActionKind], *, reminded: bool
) -> list[MenuRow]:
    """Return the row that sets a reminder for the process's end, or says that there is one."""
    if process.pid <= 0:
        return []
    if reminded:
        return [text_row(f"{key}/told", _("You will be notified when it ends"))]
    row = action_row(f"{key}/tell", _("Notify me when it ends"), ActionKind.WHEN_ENDS, _target(process))
    return offered_rows(offered, row)


def free_gpu_rows(status: Status, offered: Collection[ActionKind]) -> list[MenuRow]:
    """Return a row for each number of GPUs that are not known to be free now."""
    snapshot = status.snapshot
    if snapshot is None or snapshot.problem is not None:
        return []
    free = snapshot.free_gpus
    if free is None:
        return []
    existing = {reminder.target for reminder in status.awaited}
    numbers = range(len(free) + 1, min(_gpu_count(snapshot), MAX_GPUS) + 1)
    return offered_rows(
        offered,
        *(
            action_row(f"when {number} free", free_label(number), ActionKind.WHEN_FREE, str(number))
            for number in numbers
            if str(number) not in existing
        ),
    )


def _pending_reminder(reminder: PendingReminder, offered: Collection[ActionKind]) -> MenuRow:
    key = f"awaited:{reminder.id}"
    words = (
        _("About to notify you: {what}") if reminder.due else _("You will be notified when {what}")
    ).format(what=reminder.text)
    cancel = action_row(f"cancel {key}", _("Cancel"), ActionKind.WHEN_CANCEL, str(reminder.id))
    below = tuple(offered_rows(offered, cancel))
    if not below:
        return text_row(key, words)
    label = labels.fit(words, columns=labels.PROCESS_COLUMNS) or "?"
    return MenuRow(key, label, children=below, subject=key, gone=_("No longer"))


def free_label(number: int) -> str:
    """Return the words of a row that waits for so many GPUs."""
    return ngettext("{number} GPU is free", "{number} GPUs are free", number).format(number=number)


def _gpu_count(snapshot: Snapshot) -> int:
    return len({gpu.physical or gpu.uuid for gpu in snapshot.gpus} - {""})


LOCAL_SOURCE = "nvml"  # the source whose processes run on this machine
LOCAL_ACTIONS = frozenset({ActionKind.END})


def process_row(
    parent: str, process: GpuProcess, offered: Collection[ActionKind], reminded: Collection[str] = ()
) -> MenuRow:
    """Return the row of a process under the GPU row `parent`, with its details and actions below."""
    subject = _subject(process)
    key = f"{parent}/{subject}"
    told = _target(process) in reminded
    below = LazyRows(_process_details, key, process, offered, told)
    return MenuRow(key, labels.process_label(process), children=below, subject=subject, gone="Ended")


def _process_details(
    key: str, process: GpuProcess, offered: Collection[ActionKind], reminded: bool
) -> Sequence[MenuRow]:
    return (*_details(key, process), *_action_rows(key, process, offered, reminded=reminded))


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
        rows += submenu(f"kill {target}", label, offered_rows(offered, kill))
    return rows


def _details(key: str, process: GpuProcess) -> Iterable[MenuRow]:
    command = labels.command_text(process) or _("not known")
    yield from text_rows(f"{key}/command", _("Command: {command}").format(command=command))
    yield from text_rows(f"{key}/folder", _("Folder: {folder}").format(folder=_folder(process)))
    started = process.started
    moment = labels.missing_reason(started) if isinstance(started, Missing) else local_time(started)
    yield text_row(f"{key}/started", _("Started: {moment}").format(moment=moment))
    yield text_row(f"{key}/type", _("Type: {kinds}").format(kinds=labels.usage_types(process)))


def _action_rows(
    key: str, process: GpuProcess, offered: Collection[ActionKind], *, reminded: bool
) -> Iterable[MenuRow]:
    command = labels.clipboard_command(process)
    copies = [action_row(f"{key}/copy PID", _("Copy PID"), ActionKind.COPY_PID, str(process.pid))]
    if command:
        copies.append(action_row(f"{key}/copy command", _("Copy command"), ActionKind.COPY_COMMAND, command))
    yield from offered_rows(offered, *copies)
    yield from process_reminder_rows(key, process, offered, reminded=reminded)
    if process.mine and process.identity and process.pid > 0:
        confirm = _("End {process} now").format(process=_process_name(process.pid, process))
        target = _target(process)
        below = offered_rows(offered, action_row(f"{key}/end now", confirm, ActionKind.END, target))
        if below and process.kinds == {ProcessKind.GRAPHICS}:
            warning = _("It draws on the screen; it may be your desktop itself")
            below.insert(0, text_row(f"{key}/drawing", warning))
        yield from submenu(f"{key}/end", _("End process…"), below)


def _process_name(pid: int, process: GpuProcess | None) -> str:
    name = labels.program_name(process) if process is not None else ""
    return f"PID {pid} ({name})" if name else f"PID {pid}"


def _folder(process: GpuProcess) -> str:
    """Return the working folder of one's own process; other people's folders tell as much as commands."""
    if not process.mine:
        return _("not shown for other people's processes")
    return (
        labels.missing_reason(process.cwd) if isinstance(process.cwd, Missing) else redact.text(process.cwd)
    )


MAX_PROCESSES = 12  # processes listed under a GPU before "… N more"
MAX_MORE = 40  # and under that; the details page has them all
MEMORY_STEP = 256 * MIB  # sorting rounds memory down to this, so that two alike keep their places


class ShownProcesses:
    """
    The processes that each list shows of many.

    Whoever is shown stays until it ends, or until one that is not is twice as large: the rows of many
    processes of like size would change places at every poll.
    """

    def __init__(self) -> None:
        self._shown: dict[str, frozenset[str]] = {}  # by the list's key

    def choose(
        self, parent: str, held: Sequence[GpuProcess], most: int
    ) -> tuple[list[GpuProcess], list[GpuProcess]]:
        """Return at most `most` of the processes, and the others, both in the order given."""
        if len(held) <= most:
            self._shown.pop(parent, None)
            return list(held), []
        former = self._shown.get(parent, frozenset())
        by_size = sorted(held, key=_size_order)
        chosen = [process for process in by_size if _target(process) in former]
        others = [process for process in by_size if _target(process) not in former]
        while len(chosen) < most:
            chosen.append(others.pop(0))
        chosen.sort(key=_size_order)
        while others and _size(others[0]) > 2 * _size(chosen[-1]):
            others.append(chosen.pop())
            chosen.insert(0, others.pop(0))
        self._shown[parent] = frozenset(map(_target, chosen))
        first = [process for process in held if _target(process) in self._shown[parent]]
        return first[:most], [process for process in held if process not in first[:most]]


def gpu_rows(
    snapshot: Snapshot | None,
    offered: Collection[ActionKind],
    reminded: Collection[str],
    chosen: ShownProcesses,
) -> list[MenuRow]:
    """
    Return a row for each GPU in the order of their indexes, or the reason why there is none.

    `reminded` are the processes (PID:IDENTITY) with a reminder for their end.
    """
    if snapshot is None:
        return [_problem_row(_("No GPU has been read yet"))]
    if snapshot.problem is not None:
        texts = [redact.text(words) for words in (snapshot.problem.text, snapshot.problem.mend) if words]
        below = [row for place, words in enumerate(texts) for row in text_rows(f"problem:{place}", words)]
        return [_problem_row(texts[0], below)]
    if snapshot.source != LOCAL_SOURCE:
        offered = frozenset(offered) - LOCAL_ACTIONS
    held: dict[tuple[int | None, str], list[GpuProcess]] = {}
    for process in snapshot.processes:
        held.setdefault((process.gpu, process.device), []).append(process)
    named = not labels.are_alike(snapshot.gpus)
    shown = []
    # a MIG device stands behind its GPU, whose index it has
    for gpu in sorted(snapshot.gpus, key=lambda gpu: gpu.index):
        there = held.pop((gpu.index, gpu.uuid if gpu.physical else ""), [])
        below = _rows_of_gpu(gpu, there, offered, reminded, chosen)
        shown.append(_gpu_submenu(_gpu_key(gpu), labels.gpu_label(gpu, named=named), below))
    # processes may be on GPUs that no device list has, or that the source cannot name
    for index, device in sorted(held, key=lambda place: (place[0] is None, place[0] or 0, place[1])):
        label = ("GPU ?" if index is None else f"GPU {index}") + (f"  {device}" if device else "")
        key = f"gpu:index:{index}:{device}" if device else f"gpu:index:{index}"
        below = _process_rows(key, held[index, device], offered, reminded, chosen)
        shown.append(_gpu_submenu(key, label, below))
    return unique_rows(shown) or [_problem_row(_("No GPUs and no GPU processes are reported"))]


def _problem_row(words: str, below: Sequence[MenuRow] = ()) -> MenuRow:
    """Return the row in the GPUs' place; in an open menu it stays after they are read, and says so."""
    label = labels.fit(words, columns=labels.PROCESS_COLUMNS) or "?"
    return MenuRow("problem", label, enabled=bool(below), children=tuple(below), gone=_("Until now"))


def _gpu_key(gpu: Gpu) -> str:
    return f"gpu:{gpu.uuid or gpu.index}"


def _rows_of_gpu(
    gpu: Gpu,
    held: Sequence[GpuProcess],
    offered: Collection[ActionKind],
    reminded: Collection[str],
    chosen: ShownProcesses,
) -> list[MenuRow]:
    """Return what stands below a GPU's row: its name in full, and its processes."""
    key = _gpu_key(gpu)
    children = _process_rows(key, held, offered, reminded, chosen)
    trouble = gpu.process_problem or gpu.problem
    if trouble is not None:
        label = _("processes unknown: {trouble}").format(trouble=redact.text(trouble))
        children = [*text_rows(f"{key}/trouble", label), *children]
    elif not held:
        nothing = _("asleep, not woken") if gpu.asleep else _("no processes")
        children.append(replace(text_row(f"{key}/none", nothing), gone=_("Until now"), filler=True))
    details = labels.gpu_details(gpu)
    return [*([text_row(f"{key}/details", details)] if details else []), *children]


def _gpu_submenu(key: str, label: str, children: Sequence[MenuRow]) -> MenuRow:
    return MenuRow(key, label, children=tuple(children), gone=_("No data"))


def _process_rows(
    parent: str,
    held: Sequence[GpuProcess],
    offered: Collection[ActionKind],
    reminded: Collection[str],
    chosen: ShownProcesses,
) -> list[MenuRow]:
    """Return the processes, longest running first, a stable order; of many, the largest and then the rest."""
    first, rest = chosen.choose(parent, sorted(held, key=_start_order), MAX_PROCESSES)
    shown = unique_rows(process_row(parent, process, offered, reminded) for process in first)
    if rest:
        more = f"{parent}/more"
        listed, unlisted = chosen.choose(more, rest, MAX_MORE)
        below = LazyRows(_more_rows, more, tuple(listed), len(unlisted), offered, reminded)
        label = _("… {count} more").format(count=len(rest))
        covers = tuple(map(_subject, rest))
        shown.append(MenuRow(more, label, children=below, covers=covers, gone=_("Before")))
    return shown


def _more_rows(
    parent: str,
    listed: Sequence[GpuProcess],
    unlisted: int,
    offered: Collection[ActionKind],
    reminded: Collection[str],
) -> Sequence[MenuRow]:
    rows = unique_rows(process_row(parent, process, offered, reminded) for process in listed)
    return [*rows, *rest_row(parent, unlisted, offered)]


def rest_row(parent: str, count: int, offered: Collection[ActionKind]) -> list[MenuRow]:
    """Return a row for what a list has no room for, which leads to the details page; none for no count."""
    if count <= 0:
        return []
    key, label = f"{parent}/rest", _("… {count} more").format(count=count)
    action = action_row(key, label + labels.DOT + _("Show details…"), ActionKind.SHOW_DETAILS)
    return offered_rows(offered, action) or [text_row(key, label)]


def _subject(process: GpuProcess) -> str:
    return f"process:{process.pid}:{process.identity}"


def _target(process: GpuProcess) -> str:
    return f"{process.pid}:{process.identity}"


def _size(process: GpuProcess) -> int:
    return known(process.memory) or 0


def _start_order(process: GpuProcess) -> tuple[int, float, int]:
    started, ran = known(process.started), known(process.elapsed)
    if started is not None:
        return 0, started, process.pid
    return (2, 0.0, process.pid) if ran is None else (1, -ran, process.pid)


def _size_order(process: GpuProcess) -> tuple[int, float, int]:
    return -(_size(process) // MEMORY_STEP), -(known(process.elapsed) or 0.0), process.pid


def user_rows(snapshot: Snapshot | None) -> list[MenuRow]:
    """Return a submenu with a line for each user; nothing where all is one known user's."""
    if snapshot is None or snapshot.problem is not None:
        return []
    per_user = user_totals(snapshot.processes)
    if not per_user[1:] and all(total.user is not None for total in per_user):
        return []
    lines = [
        text_row(f"user:{total.user}" if total.user is not None else "owner unknown", _user_label(total))
        for total in per_user
    ]
    return [MenuRow("users", _("Users"), children=tuple(lines))]


def _user_label(total: UserTotal) -> str:
    memory = _("memory ?")
    if total.memory is not None:
        memory = memory_text(total.memory)
        if total.unknown:
            memory = _("{memory} and more").format(memory=memory)
    single = total.gpus and len(total.gpus) == 1 and not total.elsewhere
    parts = [
        _("owner unknown") if total.user is None else labels.clip(total.user, 32) or "?",
        memory,
        ngettext("{gpus} GPU", "{gpus} GPUs", 1 if single else 2).format(gpus=gpus_text(total)),
        ngettext("{count} process", "{count} processes", total.processes).format(count=total.processes),
    ]
    return labels.DOT.join(parts)
