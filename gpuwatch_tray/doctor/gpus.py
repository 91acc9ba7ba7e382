"""The check of each GPU; pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray import redact, rules
from gpuwatch_tray.doctor.line import CheckResult, ok, problem, warning
from gpuwatch_tray.language import _
from gpuwatch_tray.model import known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.model import Gpu, Limits, Snapshot


def check_gpus(snapshot: Snapshot, limits: Limits) -> Iterator[CheckResult]:
    """Check what can be read of each GPU, and which of the rules that are on can fire on it."""
    for gpu in snapshot.gpus:
        topic = f"GPU {gpu.index}"
        if gpu.problem is not None:
            yield problem(topic, redact.text(f"{_gpu_name(gpu)}: {gpu.problem}"))
            continue
        if gpu.process_problem is not None:
            text = _("{name}: its processes cannot be read: {why}")
            yield warning(topic, redact.text(text.format(name=_gpu_name(gpu), why=gpu.process_problem)))
        if not gpu.physical:
            yield ok(topic, f"{_gpu_name(gpu)}: {_rules_text(_snapshot_of(snapshot, gpu), limits)}")


def _snapshot_of(snapshot: Snapshot, gpu: Gpu) -> Snapshot:
    """Return the snapshot as if this GPU, with its MIG devices, were the only one."""
    kept = tuple(
        other for other in snapshot.gpus if other is gpu or (gpu.uuid and other.physical == gpu.uuid)
    )
    processes = tuple(process for process in snapshot.processes if process.gpu in (gpu.index, None))
    return replace(snapshot, gpus=kept, processes=processes)


def _rules_text(snapshot: Snapshot, limits: Limits) -> str:
    if snapshot.gpus[0].asleep:
        return _("suspended by the system, and not woken to be asked")
    verdicts = rules.judge(snapshot, limits)
    never = {verdict.rule: verdict.cannot for verdict in verdicts if verdict.cannot}
    able = len(verdicts) - len(never)
    text = _("{able} of {all} rules can fire").format(able=able, all=len(verdicts))
    if not never:
        return text
    whys = [f"{rule} ({'; '.join(lines)})" for rule, lines in never.items()]
    return f"{text}; " + _("not: {rules}").format(rules=redact.text(", ".join(whys)))


def _gpu_name(gpu: Gpu) -> str:
    return redact.visible(known(gpu.name) or gpu.uuid or "?")
