"""Whether a process of this machine still runs, by its PID and its identity, as in model.GpuProcess."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.sources.facts import GONE, ZOMBIE
from gpuwatch_tray.sources.processes import Inspector, above

if TYPE_CHECKING:
    from gpuwatch_tray.sources.facts import Facts


def lives(pid: int, identity: str) -> bool | None:
    """
    Whether this very process runs; None where the system does not tell.

    One that has ended and was not yet fetched by its parent does not, nor does one whose number another has.
    """
    facts = _facts(pid)
    if ZOMBIE in (facts.command, facts.name) or GONE in (facts.user, facts.command, facts.name):
        return False
    return facts.identity == identity if facts.identity and identity else None


def descends(pid: int, ancestor: int) -> bool:
    """Whether the process `pid` was started by `ancestor`, itself or through others that still run."""
    return ancestor in above(pid)


def identity(pid: int) -> tuple[str, str]:
    """What tells this process from others of its number, and the boot that it runs in; each may be empty."""
    inspector = Inspector()
    return inspector.look(pid).identity, inspector.boot_id


def _facts(pid: int) -> Facts:
    return Inspector().look(pid)
