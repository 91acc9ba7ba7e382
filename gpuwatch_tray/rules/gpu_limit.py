"""More GPUs in use than GPU_LIMIT."""

from __future__ import annotations

from gpuwatch_tray.language import _, ngettext
from gpuwatch_tray.model import Finding, Limits, Severity, Snapshot, Verdict
from gpuwatch_tray.rules.scope import gaps, sorted_out, unowned_line

GPU_LIMIT_RULE = "gpu_limit"


def judge_gpu_limit(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Warn when the processes that count are on more than `limits.gpu_limit` different GPUs.

    Strictly greater, without a hold; default 2; rule and reason are the Bash tool's, to the letter. GPUs that
    are known to be in use are enough to fire. Below the limit, an unreadable GPU or a process on a GPU
    that is unknown (`GPU=?`) leaves the answer open: the count might be higher.
    """
    limit = limits.gpu_limit
    if limit is None:
        return Verdict(GPU_LIMIT_RULE)
    processes, unowned = sorted_out(snapshot, limits)
    in_use = len({process.gpu for process in processes if process.gpu is not None})
    value = ngettext("{count} GPU in use", "{count} GPUs in use", in_use).format(count=in_use)
    threshold = ngettext(
        "more than {limit} GPU is in use", "more than {limit} GPUs are in use", limit
    ).format(limit=limit)
    if in_use > limit:
        reason = f"GPU_COUNT({in_use}) > GPU_LIMIT({limit})"
        text = _("{value}, the limit is {limit}").format(value=value, limit=limit)
        finding = Finding(GPU_LIMIT_RULE, "", Severity.WARNING, reason, in_use, text)
        return Verdict(GPU_LIMIT_RULE, (finding,), value=value, threshold=threshold)
    nowhere = [process.pid for process in processes if process.gpu is None]
    unknown = [
        *gaps(snapshot),
        *(_("the GPU of process {pid} cannot be told").format(pid=pid) for pid in nowhere),
    ]
    unknown += map(unowned_line, unowned)
    return Verdict(GPU_LIMIT_RULE, unknown="; ".join(unknown) or None, value=value, threshold=threshold)
