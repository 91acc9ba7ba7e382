"""The rows of "tell me when": what can be asked for, and what is waited for already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import _, ngettext
from gpuwatch_tray.tray import text
from gpuwatch_tray.tray.menu.row import LINE, Act, Deed, Row, choice, clickable, plain
from gpuwatch_tray.watches import free_gpus

if TYPE_CHECKING:
    from collections.abc import Collection

    from gpuwatch_tray.model import Awaited, GpuProcess, Snapshot, Status

MOST = 16  # numbers of GPUs to choose from


def rows(status: Status, offered: Collection[Act]) -> list[Row]:
    """The submenu of the GPUs, and a row for all that is waited for, with the means to cancel it."""
    waiting = [_waiting(each, offered) for each in status.awaited]
    return [*choice("when free", _("Tell me when…"), _free(status, offered)), *waiting]


def of_process(
    key: str, process: GpuProcess, offered: Collection[Act], awaited: Collection[str]
) -> list[Row]:
    """The row that asks to be told of its end; once that is asked, one that says so."""
    if process.pid <= 0:
        return []
    target = f"{process.pid}:{process.identity}"
    if target in awaited:
        return [plain(f"{key}/told", _("You will be told when it ends"))]
    return clickable(offered, Row(f"{key}/tell", _("Tell me when it ends"), Deed(Act.WHEN_ENDS, target)))


def _free(status: Status, offered: Collection[Act]) -> list[Row]:
    """A row for each number of GPUs that are not free now, or may not be."""
    snapshot = status.snapshot
    if snapshot is None or snapshot.problem is not None:
        return []
    free = free_gpus(snapshot)
    if free is None:
        return []
    asked = {each.target for each in status.awaited}
    numbers = range(len(free) + 1, min(_total(snapshot), MOST) + 1)
    return clickable(
        offered,
        *(
            Row(f"when {number} free", _free_label(number), Deed(Act.WHEN_FREE, str(number)))
            for number in numbers
            if str(number) not in asked
        ),
    )


def _waiting(each: Awaited, offered: Collection[Act]) -> Row:
    key = f"awaited:{each.id}"
    words = (_("To be told: {what}") if each.due else _("You will be told when {what}")).format(
        what=each.text
    )
    cancel = clickable(offered, Row(f"cancel {key}", _("Cancel"), Deed(Act.WHEN_CANCEL, str(each.id))))
    if not cancel:
        return plain(key, words)
    return Row(key, text.clip(words, LINE) or "?", children=tuple(cancel), gone=_("No longer"))


def _free_label(number: int) -> str:
    return ngettext("{number} GPU is free", "{number} GPUs are free", number).format(number=number)


def _total(snapshot: Snapshot) -> int:
    return len({gpu.physical or gpu.uuid for gpu in snapshot.gpus} - {""})
