"""
The sums over the hosts of a lab in words: one's own GPUs, the free ones, the hosts that do not answer. Pure.

What is not known is counted beside each sum, and is never part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import HostState

if TYPE_CHECKING:
    from collections.abc import Sequence


class HostCounts(Struct, frozen=True):
    """Counts of one host, in GPUs; None where one is not known."""

    state: HostState
    gpus: int | None = None
    free: int | None = None
    looks_free: int | None = None
    mine: int | None = None


def mine_text(hosts: Sequence[HostCounts]) -> str:
    """Say on how many GPUs one computes; never that it is on none where that is not known of all hosts."""
    told = [host.mine for host in hosts if host.mine is not None]
    unknown = sum(1 for host in hosts if host.mine is None and _counts(host))
    if not told and unknown == sum(map(_counts, hosts)):
        return _("Yours: not known")
    gpus = sum(told)
    return _with_unknown(
        ngettext("Yours: {count} GPU", "Yours: {count} GPUs", gpus).format(count=gpus), unknown
    )


def free_text(hosts: Sequence[HostCounts]) -> str:
    """Say how many GPUs are free; what only looks free is never called free."""
    told = [host for host in hosts if not (host.free is None and host.looks_free is None)]
    if not told:
        return _("Free: not known")
    unknown = sum(map(_counts, hosts)) - sum(map(_counts, told))
    free = sum(host.free if host.free is not None else host.looks_free or 0 for host in told)
    every = sum(host.gpus or 0 for host in told)
    looks = any(host.free is None and host.looks_free for host in told)
    text = _("Free or looking so: {free} of {every} GPUs") if looks else _("Free: {free} of {every} GPUs")
    return _with_unknown(text.format(free=free, every=every), unknown)


def unread_text(hosts: Sequence[HostCounts]) -> str:
    """Count the hosts of which nothing is known, and those that were taken off the list; empty for none."""
    states = [host.state for host in hosts if host.state is not HostState.OK]
    gone = states.count(HostState.GONE)
    left = len(states) - gone
    silent = ngettext("Not answering: {count} host", "Not answering: {count} hosts", left).format(count=left)
    missed = _("No longer on the list: {count}").format(count=gone)
    return " · ".join(text for text, count in ((silent, left), (missed, gone)) if count)


def _counts(host: HostCounts) -> bool:
    return host.state is not HostState.GONE


def _with_unknown(words: str, hosts: int) -> str:
    if not hosts:
        return words
    text = ngettext("unknown on {count} host", "unknown on {count} hosts", hosts)
    return f"{words} · {text.format(count=hosts)}"
