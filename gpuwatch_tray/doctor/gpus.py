"""Each GPU, and which of the rules that are switched on can ever fire on it; pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray import redact, rules
from gpuwatch_tray.doctor.line import Line, ok, problem, warning
from gpuwatch_tray.language import _
from gpuwatch_tray.model import known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpuwatch_tray.model import Gpu, Limits, Snapshot


def look(snapshot: Snapshot, limits: Limits) -> Iterator[Line]:
    """A line for each physical GPU, and one for each thing about it that cannot be read."""
    for gpu in snapshot.gpus:
        topic = f"GPU {gpu.index}"
        if gpu.problem is not None:
            yield problem(topic, redact.text(f"{_name(gpu)}: {gpu.problem}"))
            continue
        if gpu.process_problem is not None:
            text = _("{name}: its processes cannot be read: {why}")
            yield warning(topic, redact.text(text.format(name=_name(gpu), why=gpu.process_problem)))
        if not gpu.physical:
            yield ok(topic, f"{_name(gpu)}: {_rules(alone(snapshot, gpu), limits)}")


def alone(snapshot: Snapshot, gpu: Gpu) -> Snapshot:
    """The reading as if this GPU, with its MIG devices, were all there is."""
    kept = tuple(each for each in snapshot.gpus if each is gpu or (gpu.uuid and each.physical == gpu.uuid))
    processes = tuple(each for each in snapshot.processes if each.gpu in (gpu.index, None))
    return replace(snapshot, gpus=kept, processes=processes)


def _rules(snapshot: Snapshot, limits: Limits) -> str:
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


def _name(gpu: Gpu) -> str:
    return redact.visible(known(gpu.name) or gpu.uuid or "?")
