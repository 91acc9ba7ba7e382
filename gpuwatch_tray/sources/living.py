"""Whether a process of this machine still runs, by its PID and its identity, as in model.GpuProcess."""

from __future__ import annotations

from gpuwatch_tray.sources.processes import ProcessInspector, ancestor_pids


def is_alive(pid: int, identity: str) -> bool | None:
    """
    Tell whether this very process runs; None where the system does not say.

    A zombie does not run, and neither does a process whose PID was reused.
    """
    facts = ProcessInspector().inspect(pid)
    if facts.ended:
        return False
    return facts.identity == identity if facts.identity and identity else None


def is_descendant(pid: int, ancestor: int) -> bool:
    """Tell whether `ancestor` started the process `pid`, itself or through others that still run."""
    return ancestor in ancestor_pids(pid)


def process_identity(pid: int) -> tuple[str, str]:
    """Return what tells this process from others of its PID, and the boot id; each may be empty."""
    inspector = ProcessInspector()
    return inspector.inspect(pid).identity, inspector.boot_id
