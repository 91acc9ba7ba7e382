"""The rows of users and what each holds of the GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import _, ngettext
from gpuwatch_tray.listing.totals import gpus_text, user_totals
from gpuwatch_tray.tray import text
from gpuwatch_tray.tray.menu.row import MenuRow, text_row
from gpuwatch_tray.units import memory_text

if TYPE_CHECKING:
    from gpuwatch_tray.listing.totals import UserTotal
    from gpuwatch_tray.model import Snapshot


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
        _("owner unknown") if total.user is None else text.clip(total.user, 32) or "?",
        memory,
        ngettext("{gpus} GPU", "{gpus} GPUs", 1 if single else 2).format(gpus=gpus_text(total)),
        ngettext("{count} process", "{count} processes", total.processes).format(count=total.processes),
    ]
    return text.DOT.join(parts)
