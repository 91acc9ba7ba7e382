"""The rows of reminders ("tell me when")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import _, ngettext
from gpuwatch_tray.tray import text
from gpuwatch_tray.tray.menu.row import (
    MAX_COLUMNS,
    ActionKind,
    MenuRow,
    action_row,
    offered_rows,
    submenu,
    text_row,
)
from gpuwatch_tray.watches import free_gpus

if TYPE_CHECKING:
    from collections.abc import Collection

    from gpuwatch_tray.model import GpuProcess, PendingReminder, Snapshot, Status

MAX_GPUS = 16  # numbers of GPUs offered


def reminder_rows(status: Status, offered: Collection[ActionKind]) -> list[MenuRow]:
    """Return the submenu for free GPUs, and a row for each reminder, with the action to cancel it."""
    waiting = [_pending_reminder(reminder, offered) for reminder in status.awaited]
    return [*submenu("when free", _("Tell me when…"), _free_gpu_choices(status, offered)), *waiting]


def process_reminder_rows(
    key: str, process: GpuProcess, offered: Collection[ActionKind], reminded: Collection[str]
) -> list[MenuRow]:
    """Return the row that sets a reminder for the process's end, or says that there is one."""
    if process.pid <= 0:
        return []
    target = f"{process.pid}:{process.identity}"
    if target in reminded:
        return [text_row(f"{key}/told", _("You will be told when it ends"))]
    row = action_row(f"{key}/tell", _("Tell me when it ends"), ActionKind.WHEN_ENDS, target)
    return offered_rows(offered, row)


def _free_gpu_choices(status: Status, offered: Collection[ActionKind]) -> list[MenuRow]:
    """Return a row for each number of GPUs that are not known to be free now."""
    snapshot = status.snapshot
    if snapshot is None or snapshot.problem is not None:
        return []
    free = free_gpus(snapshot)
    if free is None:
        return []
    existing = {reminder.target for reminder in status.awaited}
    numbers = range(len(free) + 1, min(_gpu_count(snapshot), MAX_GPUS) + 1)
    return offered_rows(
        offered,
        *(
            action_row(f"when {number} free", _free_label(number), ActionKind.WHEN_FREE, str(number))
            for number in numbers
            if str(number) not in existing
        ),
    )


def _pending_reminder(reminder: PendingReminder, offered: Collection[ActionKind]) -> MenuRow:
    key = f"awaited:{reminder.id}"
    words = (_("To be told: {what}") if reminder.due else _("You will be told when {what}")).format(
        what=reminder.text
    )
    cancel = action_row(f"cancel {key}", _("Cancel"), ActionKind.WHEN_CANCEL, str(reminder.id))
    below = tuple(offered_rows(offered, cancel))
    if not below:
        return text_row(key, words)
    return MenuRow(key, text.clip(words, MAX_COLUMNS) or "?", children=below, gone=_("No longer"))


def _free_label(number: int) -> str:
    return ngettext("{number} GPU is free", "{number} GPUs are free", number).format(number=number)


def _gpu_count(snapshot: Snapshot) -> int:
    return len({gpu.physical or gpu.uuid for gpu in snapshot.gpus} - {""})
