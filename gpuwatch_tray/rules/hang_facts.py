"""What is known of why a process hangs: from the snapshot and the history, without any log. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.reading_gaps import gap
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import ClockLimit, Gpu, GpuProcess, Snapshot, known
from gpuwatch_tray.model.units import MINUTE, duration, memory_text, recent_time
from gpuwatch_tray.rules.hardware import APP_XIDS, FATAL_XIDS, IGNORED_XIDS, RECOVERIES
from gpuwatch_tray.rules.rule_history import RECOVERY_XID
from gpuwatch_tray.rules.verdict import gpu_name, process_identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpuwatch_tray.rules.rule_history import RuleEvent, RuleHistory


MOST_FACTS = 4  # the gravest: a popup has few lines
BEFORE = 120.0  # seconds before the silence in which an event may be its cause
MOST_OTHERS = 2  # processes that are named
DEEP_SLEEP, STOPPED = "D", frozenset("Tt")  # states of proc_pid_stat(5)
NO_CPU, MUCH_CPU = 0.01, 0.5  # of a core
HEAT = ClockLimit.SW_THERMAL | ClockLimit.HW_THERMAL
HARDWARE = ClockLimit.HW_SLOWDOWN | ClockLimit.HW_POWER_BRAKE
NOTHING_KNOWN = N_("nothing that can be seen tells why")


def hang_facts(
    snapshot: Snapshot, history: RuleHistory, process: GpuProcess, gpus: Sequence[Gpu], quiet: float
) -> list[str]:
    """
    Return what may explain that `process` leaves its `gpus` alone for `quiet` seconds, the gravest first.

    A clause each, translated. Faults of other GPUs are told too: the ranks of a job wait for each other.
    """
    facts = [
        *_driver_faults(snapshot, history, gpus, quiet),
        *_kills(history, quiet),
        *_stopped(snapshot, history, process),
        *_memory(snapshot, process, gpus),
        *_slowed(gpus),
        *_processor(snapshot, history, process),
    ]
    return list(dict.fromkeys(facts))[:MOST_FACTS] or [_(NOTHING_KNOWN)]


def _driver_faults(
    snapshot: Snapshot, history: RuleHistory, gpus: Sequence[Gpu], quiet: float
) -> Iterator[str]:
    """Yield lost GPUs, Xids and memory errors: its own, then those of others that came with the silence."""
    boards = {gpu.uuid: gpu for gpu in snapshot.gpus if not gpu.physical}
    own = {gpu.physical or gpu.uuid for gpu in gpus}
    for gpu in boards.values():
        if gpu.problem is not None:
            yield gap(gpu)
    events = sorted(history.events.items(), key=lambda one: one[0].partition("/")[0] not in own)
    for subject, event in events:
        uuid, slash, code = subject.partition("/")
        board = boards.get(uuid)
        if board is None or (slash and not code.isdecimal()):
            continue
        if _matters(int(code or 0), event, history, quiet, is_own=uuid in own):
            yield _event_text(board, int(code or 0), event, history)
    for uuid in own:
        action = RECOVERIES.get(known(boards[uuid].recovery) or 0) if uuid in boards else None
        if action:
            yield _("the driver says of {gpu}: {action}").format(gpu=gpu_name(boards[uuid]), action=_(action))
    if snapshot.mismatch is not None:
        yield _("the NVIDIA driver was replaced while it runs")


def _matters(code: int, event: RuleEvent, history: RuleHistory, quiet: float, *, is_own: bool) -> bool:
    """Tell whether an Xid (0: a memory error) may have to do with it; a grave one of its own lasts."""
    if code in IGNORED_XIDS or code == RECOVERY_XID:  # the second is told by what must be done
        return False
    age = 0.0 if history.at is None else history.at.since(event.at)
    if age <= quiet + BEFORE:
        return is_own or code in FATAL_XIDS
    return is_own and code in FATAL_XIDS


def _event_text(gpu: Gpu, code: int, event: RuleEvent, history: RuleHistory) -> str:
    time = recent_time(event.at.wall, event.at.wall if history.at is None else history.at.wall)
    if not code:
        text = _("{gpu} had a memory error at {time} that could not be corrected")
        return text.format(gpu=gpu_name(gpu), time=time)
    meaning = FATAL_XIDS.get(code) or APP_XIDS.get(code) or N_("see NVIDIA's catalogue")
    text = _("the driver reported Xid {code} on {gpu} at {time}: {meaning}")
    return text.format(code=code, gpu=gpu_name(gpu), time=time, meaning=_(meaning))


def _kills(history: RuleHistory, quiet: float) -> Iterator[str]:
    """Yield that the kernel killed a process for want of memory: it may have been one of its workers."""
    event = history.oom_kill
    if event is not None and history.at is not None and history.at.since(event.at) <= quiet + BEFORE:
        text = _("the machine or a container ran out of memory at {time}, and the kernel killed a process")
        yield text.format(time=recent_time(event.at.wall, history.at.wall))


def _stopped(snapshot: Snapshot, history: RuleHistory, process: GpuProcess) -> Iterator[str]:
    """Yield that it is stopped, or that it waits in the kernel."""
    rest = history.resting.get(process_identity(snapshot, process))
    if rest is None:
        return
    span = history.clock - rest.state_from
    if rest.state in STOPPED:
        text = _("it has been stopped for {span} (Ctrl-Z, SIGSTOP or a debugger)")
        yield text.format(span=duration(span))
    elif rest.state == DEEP_SLEEP and span >= MINUTE:
        text = _("it has waited inside the kernel for {span}, for a disk, a network drive or the driver")
        yield text.format(span=duration(span))


def _memory(snapshot: Snapshot, process: GpuProcess, gpus: Sequence[Gpu]) -> Iterator[str]:
    """Yield which of its GPUs are full, and who else is on them."""
    for gpu in gpus:
        others = _others(snapshot, process, gpu)
        named = ", ".join(others)
        if gpu.is_full:
            text = _("the memory of {gpu} is full")
            if others:
                text = _("the memory of {gpu} is full; others on it: {others}")
            yield text.format(gpu=gpu_name(gpu), others=named)
        elif others:
            yield _("others on {gpu}: {others}").format(gpu=gpu_name(gpu), others=named)


def _others(snapshot: Snapshot, process: GpuProcess, gpu: Gpu) -> list[str]:
    """Name the other processes that compute on a GPU, those with the most memory first."""
    found = [
        other
        for other in snapshot.computing
        if other.pid != process.pid
        and (other.device or other.gpu) == (gpu.uuid if gpu.physical else gpu.index)
    ]
    found.sort(key=lambda other: -(known(other.memory) or 0))
    named = []
    for other in found[:MOST_OTHERS]:
        name = redact.process_name(known(other.name) or "") or _("a process")
        user, held = redact.text(known(other.user) or "?"), known(other.memory)
        memory = "" if held is None else f", {memory_text(held)}"
        named.append(f"{user}: {name} (PID {other.pid}{memory})")
    return named


def _slowed(gpus: Sequence[Gpu]) -> Iterator[str]:
    for gpu in gpus:
        limited = known(gpu.limited_by) or ClockLimit(0)
        if limited & HEAT:
            yield _("{gpu} is slowed by heat").format(gpu=gpu_name(gpu))
        elif limited & HARDWARE:
            yield _("{gpu} is slowed by its hardware").format(gpu=gpu_name(gpu))


def _processor(snapshot: Snapshot, history: RuleHistory, process: GpuProcess) -> Iterator[str]:
    """Yield whether it works on the processor meanwhile, or only waits."""
    rest = history.resting.get(process_identity(snapshot, process))
    now = known(process.cpu)
    if rest is None or rest.cpu is None or now is None or history.clock - rest.since < MINUTE:
        return
    share = (now - rest.cpu) / (history.clock - rest.since)
    if share < NO_CPU and rest.state not in STOPPED:
        yield _("it uses no processor time either, so it waits for something")
    elif share >= MUCH_CPU:
        yield _("it uses {percent} % of a processor core meanwhile").format(percent=round(100 * share))
