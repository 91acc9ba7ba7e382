"""More GPUs in use than GPU_LIMIT."""

from __future__ import annotations

from gpuwatch_tray.model import Finding, Limits, Severity, Snapshot, Verdict
from gpuwatch_tray.rules.scope import gaps, sorted_out, unowned_line

NAME = "gpu_limit"


def gpu_limit(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Warn when the processes that count are on more than `limits.gpu_limit` different GPUs.

    Strictly greater, without a hold; default 2; rule and reason are the Bash tool's, to the letter. GPUs that
    are known to be in use are enough to fire. Below the limit, an unreadable GPU or a process on a GPU
    that cannot be told (`GPU=?`) leaves the answer open: the count might be higher.
    """
    limit = limits.gpu_limit
    if limit is None:
        return Verdict(NAME)
    processes, unowned = sorted_out(snapshot, limits)
    in_use = len({process.gpu for process in processes if process.gpu is not None})
    value = "1 GPU in use" if in_use == 1 else f"{in_use} GPUs in use"
    threshold = f"more than {limit} {'GPU is' if limit == 1 else 'GPUs are'} in use"
    if in_use > limit:
        reason = f"GPU_COUNT({in_use}) > GPU_LIMIT({limit})"
        finding = Finding(NAME, "", Severity.WARNING, reason, in_use, f"{value}, the limit is {limit}")
        return Verdict(NAME, (finding,), value=value, threshold=threshold)
    nowhere = [process.pid for process in processes if process.gpu is None]
    unknown = [*gaps(snapshot), *(f"the GPU of process {pid} cannot be told" for pid in nowhere)]
    unknown += map(unowned_line, unowned)
    return Verdict(NAME, unknown="; ".join(unknown) or None, value=value, threshold=threshold)
