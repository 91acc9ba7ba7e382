"""More GPUs in use than GPU_LIMIT."""

from __future__ import annotations

from gpuwatch_tray.model import Finding, Limits, Severity, Snapshot, Verdict
from gpuwatch_tray.rules.scope import counted, gaps, unowned, unowned_line

NAME = "gpu_limit"


def gpu_limit(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Warn when the processes that count are on more than `limits.gpu_limit` different GPUs.

    Strictly greater, without a hold; default 2; the reason is the Bash tool's, to the letter. GPUs that
    are known to be in use are enough to fire. Below the limit, an unreadable GPU or a process on a GPU
    that cannot be told (`GPU=?`) leaves the answer open: the count might be higher.
    """
    processes = counted(snapshot, limits)
    in_use = len({process.gpu for process in processes if process.gpu is not None})
    if in_use > limits.gpu_limit:
        reason = f"GPU_COUNT({in_use}) > GPU_LIMIT({limits.gpu_limit})"
        return Verdict(NAME, (Finding(NAME, "", Severity.WARNING, reason, in_use),))
    nowhere = [process.pid for process in processes if process.gpu is None]
    unknown = [*gaps(snapshot), *(f"the GPU of process {pid} cannot be told" for pid in nowhere)]
    unknown += map(unowned_line, unowned(snapshot, limits))
    return Verdict(NAME, unknown="; ".join(unknown) or None)
