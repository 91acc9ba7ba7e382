"""
The row of one host of the lab, and below it what is known there: its GPUs and their processes, to read.

A host is asked GPU by GPU when its list opens. The rows of its GPUs are there before, for a list that is
open takes no new rows, and get their words when the answer comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.ssh_command import ssh_command
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import HostState, Missing, known
from gpuwatch_tray.model.units import local_time
from gpuwatch_tray.rules.every_rule import rule_title
from gpuwatch_tray.rules.lab_rules import blind_text
from gpuwatch_tray.tray.menu import labels
from gpuwatch_tray.tray.menu.process_rows import MAX_PROCESSES
from gpuwatch_tray.tray.menu.row import (
    ActionKind,
    HostDetail,
    LazyRows,
    MenuAction,
    MenuRow,
    action_row,
    offered_rows,
    text_row,
    text_rows,
    unique_rows,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from gpuwatch_tray.model import Gpu, GpuProcess, HostView, Snapshot
    from gpuwatch_tray.tray.menu.row import LabExtras


MAX_GPUS = 32  # rows; a host has 16 at most, unless its exporter errs
MAX_FIRING = 6


def host_row(
    of: str, host: HostView, words: str, now: float, offered: Collection[ActionKind], extras: LabExtras
) -> MenuRow:
    """Return the row of a host in the list `of`; it is asked when its list opens, unless all is known."""
    key = f"{of}/{host.name}"
    detail = extras.details.get(host.name)
    if host.detail is not None:
        detail = HostDetail(now, host.detail)
    asks = host.state is HostState.OK and host.detail is None and ActionKind.ASK_HOST in offered
    label = labels.fit(redact.text(words), columns=labels.PROCESS_COLUMNS) or "?"
    below = LazyRows(_rows_of_host, key, host, detail, frozenset(offered))
    opening = MenuAction(ActionKind.ASK_HOST, host.name) if asks else None
    return MenuRow(key, label, children=below, subject=key, gone=_("No longer"), opening=opening)


def gpus_text(host: HostView) -> str:
    """Say how many GPUs the host has, how many are free, how hot; what is not known is left out."""
    gpus, free, looks, mine = (known(value) for value in (host.gpus, host.free, host.looks_free, host.mine))
    looking = ngettext("{count} looks free", "{count} look free", looks or 0).format(count=looks)
    whole = ngettext("{count} GPU", "{count} GPUs", gpus or 0).format(count=gpus)
    parts = [
        "" if gpus is None else whole,
        _("free ?") if free is None and looks is None else "",
        "" if free is None else _("{count} free").format(count=free),
        looking if free is None and looks is not None else "",
        "" if not mine else _("{count} yours").format(count=mine),
        "" if isinstance(host.hottest, Missing) else _("hottest {degrees} °C").format(degrees=host.hottest),
    ]
    return labels.DOT.join(part for part in parts if part)


def _rows_of_host(
    key: str, host: HostView, detail: HostDetail | None, offered: frozenset[ActionKind]
) -> Sequence[MenuRow]:
    well = host.state is HostState.OK
    words = gpus_text(host) if well else blind_text(host)
    rows = [*text_rows(f"{key}/state", redact.text(words)), *_firing_rows(key, host)]
    if command := ssh_command(host.name):
        copy = _("Copy {command}").format(command=command)
        rows += offered_rows(offered, action_row(f"{key}/ssh", copy, ActionKind.COPY_SSH, command))
    if well:
        rows += [_told_row(key, host, detail, offered), *_gpu_rows(key, host, detail)]
    return rows


def _firing_rows(key: str, host: HostView) -> Iterable[MenuRow]:
    for place, alert in enumerate((known(host.firing) or ())[:MAX_FIRING]):
        title = rule_title(alert.rule)
        words = f"GPU {alert.gpu}: {title}" if alert.gpu else title
        yield text_row(f"{key}/firing:{place}", redact.one_line(words))


def _told_row(key: str, host: HostView, detail: HostDetail | None, offered: frozenset[ActionKind]) -> MenuRow:
    """Return the row that says of when the rows below it are, or why they say nothing; always there."""
    row = f"{key}/told"
    if detail is None:
        ask = action_row(row, _("Read its GPUs now"), ActionKind.ASK_HOST, host.name)
        return next(iter(offered_rows(offered, ask)), text_row(row, _("not read yet")))
    if detail.snapshot is None:
        return text_row(row, _("reading…"))
    if detail.snapshot.problem is not None:
        return text_row(row, redact.text(str(detail.snapshot.problem)))
    # When it was read there, and not when we asked.
    return text_row(row, _("as of {time}").format(time=local_time(detail.snapshot.at, "%H:%M:%S")))


def _gpu_rows(key: str, host: HostView, detail: HostDetail | None) -> list[MenuRow]:
    snapshot = None if detail is None or detail.snapshot is None else detail.snapshot
    if snapshot is not None and snapshot.problem is not None:
        snapshot = None
    count = max(known(host.expected) or 0, known(host.gpus) or 0)
    gpus: dict[int, list[Gpu]] = {index: [] for index in range(min(count, MAX_GPUS))}
    for gpu in () if snapshot is None else snapshot.gpus:
        gpus.setdefault(gpu.index, []).append(gpu)
    alike = snapshot is None or labels.are_alike(snapshot.gpus)
    return [
        _gpu_row(f"{key}/gpu:{index}", index, parts, snapshot, named=not alike)
        for index, parts in sorted(gpus.items())[:MAX_GPUS]
    ]


def _gpu_row(
    key: str, index: int, parts: Sequence[Gpu], snapshot: Snapshot | None, *, named: bool
) -> MenuRow:
    """Return the row of a GPU, which is there before anything is known of it, with the parts of a MIG."""
    whole = next((gpu for gpu in parts if not gpu.physical), None)
    label = f"GPU {index}" if whole is None else labels.gpu_label(whole, named=named)
    if snapshot is None or whole is None:
        nothing = _("not known")
        filler = replace(text_row(f"{key}/none", nothing), gone=_("Until now"), filler=True)
        return MenuRow(key, label, children=(filler,), gone=_("No data"))
    there = tuple(process for process in snapshot.processes if process.gpu == index)
    below = LazyRows(_rows_of_gpu, key, tuple(parts), there)
    return MenuRow(key, label, children=below, gone=_("No data"))


def _rows_of_gpu(key: str, parts: Sequence[Gpu], held: Sequence[GpuProcess]) -> Sequence[MenuRow]:
    rows = [
        text_row(f"{key}/part:{gpu.uuid}", labels.gpu_label(gpu) if gpu.physical else details)
        for gpu in parts
        if (details := labels.gpu_details(gpu)) or gpu.physical
    ]
    for gpu in parts:
        if trouble := gpu.process_problem or gpu.problem:
            words = _("processes unknown: {trouble}").format(trouble=redact.text(trouble))
            rows += text_rows(f"{key}/trouble:{gpu.uuid}", words)
    rows += unique_rows(
        text_row(f"{key}/process:{process.pid}:{process.device}", labels.process_label(process))
        for process in held[:MAX_PROCESSES]
    )
    if len(held) > MAX_PROCESSES:
        more = _("… {count} more").format(count=len(held) - MAX_PROCESSES)
        rows.append(text_row(f"{key}/more", more))
    elif not held and not any(gpu.process_problem or gpu.problem for gpu in parts):
        none = replace(text_row(f"{key}/none", _("no processes")), gone=_("Until now"), filler=True)
        rows.append(none)
    return rows
