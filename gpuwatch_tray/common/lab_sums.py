"""
The sums over the hosts of a lab in words: one's own GPUs, the free ones, the hosts that do not answer. Pure.

What is not known is counted beside each sum, and is never part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import HostState, Missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model import HostView


def mine_text(hosts: Sequence[HostView]) -> str:
    """Say on how many GPUs one computes; never that it is on none where that is not known of all hosts."""
    told = [host.mine for host in hosts if not isinstance(host.mine, Missing)]
    unknown = sum(1 for host in hosts if isinstance(host.mine, Missing) and host.state is not HostState.GONE)
    if not told:
        return _("Yours: not known")
    gpus = sum(told)
    text = ngettext("Yours: {count} GPU", "Yours: {count} GPUs", gpus).format(count=gpus)
    return _with_unknown(text, unknown)


def free_text(hosts: Sequence[HostView]) -> str:
    """Say how many GPUs are free; what only looks free is never called free."""
    free = every = unknown = told = 0
    looks = False
    for host in hosts:
        count = host.free_or_looking_so
        if isinstance(count, Missing):
            unknown += host.state is not HostState.GONE
            continue
        looks = looks or (isinstance(host.free, Missing) and count > 0)
        told += 1
        free += count
        every += 0 if isinstance(host.gpus, Missing) else host.gpus
    if not told:
        return _("Free: not known")
    text = _("Free or looking so: {free} of {every} GPUs") if looks else _("Free: {free} of {every} GPUs")
    return _with_unknown(text.format(free=free, every=every), unknown)


def unread_text(hosts: Sequence[HostView]) -> str:
    """Count the hosts of which nothing is known, and those that were taken off the list; empty for none."""
    states = [host.state for host in hosts if host.state is not HostState.OK]
    gone = states.count(HostState.GONE)
    left = len(states) - gone
    silent = ngettext("Not answering: {count} host", "Not answering: {count} hosts", left).format(count=left)
    missed = _("No longer on the list: {count}").format(count=gone)
    return " · ".join(text for text, count in ((silent, left), (missed, gone)) if count)


def _with_unknown(words: str, hosts: int) -> str:
    if not hosts:
        return words
    text = ngettext("unknown on {count} host", "unknown on {count} hosts", hosts)
    return f"{words} · {text.format(count=hosts)}"
