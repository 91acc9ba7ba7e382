"""Reading one GPU with its processes and MIG devices; each value can be missing by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct
from msgspec.structs import asdict, replace

from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import COMPUTING, UNKNOWN, UNSUPPORTED, Field, Gpu, Missing, ProcessKind, Why
from gpuwatch_tray.sources.nvml.api import (
    MAX_EXCURSION,
    MAX_MEMORY,
    MAX_PID,
    Code,
    DriverError,
    bounded,
    impossible,
)
from gpuwatch_tray.sources.nvml.inventory import MigDevice
from gpuwatch_tray.sources.nvml.problems import LOST, gpu_problem
from gpuwatch_tray.sources.nvml.query import DeviceQuery, split_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gpuwatch_tray.sources.nvml.api import Driver, Handle
    from gpuwatch_tray.sources.nvml.inventory import SeenGpu


# A process as the driver lists it on one GPU: PID, kinds, memory. A plain tuple, for there are hundreds.
ListedProcess: TypeAlias = tuple[int, frozenset[ProcessKind], Field[int]]


class GpuReading(Struct, frozen=True):
    """A GPU, its processes, its MIG devices (`parts`) with theirs; why it could not be read at all."""

    gpu: Gpu
    processes: tuple[ListedProcess, ...] = ()
    parts: tuple[GpuReading, ...] = ()
    error: DriverError | None = None

    @property
    def unused(self) -> bool:
        """Whether nobody computes on it and nothing runs there; what is not known counts as use."""
        if self.error is not None or self.gpu.process_problem is not None or self.parts:
            return False
        computing = any(not kinds.isdisjoint(COMPUTING) for _pid, kinds, _memory in self.processes)
        return self.gpu.asleep or (self.gpu.utilisation == 0 and not computing)


def asleep_reading(seen: SeenGpu) -> GpuReading:
    """Return the reading of a GPU that is not asked, so that it sleeps on."""
    return GpuReading(Gpu(seen.index, seen.uuid, seen.name.value, asleep=True))


# A value that is missing has a reason; the other fields say what the GPU is and whether it answers.
_VALUES = [name for name, value in asdict(Gpu(0, "")).items() if value is UNKNOWN and name != "name"]


def gpu_without_values(missing: Missing) -> Gpu:
    """Return a GPU of which no value is known, all for the same reason."""
    values: dict[str, Any] = dict.fromkeys(_VALUES, missing)
    return Gpu(0, "", **values)


def unreachable_reading(seen: SeenGpu) -> GpuReading:
    """Return the reading of a GPU that does not answer."""
    error = seen.error
    if error is None:
        raise ValueError("a GPU without a handle has an error")
    problem = gpu_problem(error)
    gpu = replace(
        gpu_without_values(Missing(Why.ERROR, error.text)),
        index=seen.index,
        uuid=seen.uuid,
        name=seen.name.value,
        problem=problem,
        process_problem=problem,
    )
    return GpuReading(gpu, error=error)


# The rules use these lists, so their failure is a problem.
_FAILURES = {ProcessKind.COMPUTE: N_("compute processes: {why}"), ProcessKind.MPS: N_("MPS processes: {why}")}
# A process is in some of the three lists, a bit for each; sets of an Enum are slow to make, so all are here.
_BITS = {ProcessKind.COMPUTE: 1, ProcessKind.GRAPHICS: 2, ProcessKind.MPS: 4}
_KINDS = tuple(frozenset(kind for kind, bit in _BITS.items() if bits & bit) for bits in range(8))


class ProcessLists(Struct, frozen=True):
    """
    The processes of one GPU, in the driver's order: those of the compute list first.

    With a `problem`, those that compute are not all there are. `error` is the last one met; `answered` tells
    whether any list was given.
    """

    processes: tuple[ListedProcess, ...]
    problem: str | None
    error: DriverError | None
    answered: bool


def read_process_lists(read: Callable[[ProcessKind], Sequence[tuple[int, int | None]]]) -> ProcessLists:
    """
    Read and merge the three lists; `read` returns one of them or raises DriverError.

    A GPU without graphics or MPS has no such list, which is an empty one. One without a compute list may be
    in use, so that is a problem. A graphics list that fails is not: no rule counts its processes.
    """
    found: list[tuple[ProcessKind, Sequence[tuple[int, int | None]]]] = []
    problems: list[str] = []
    last: DriverError | None = None
    answered = False
    for kind in (ProcessKind.COMPUTE, ProcessKind.GRAPHICS, ProcessKind.MPS):
        try:
            rows = read(kind)
            found.append((kind, rows))
            answered = True
            # The trace of a list that was misread, or that the driver got wrong: it may hide a process.
            wrong = sorted({pid for pid, _memory in rows if not 0 < pid <= MAX_PID})[:3]
            if wrong and kind in _FAILURES:
                why = _("impossible process numbers ({pids})").format(pids=", ".join(map(str, wrong)))
                problems.append(_(_FAILURES[kind]).format(why=why))
        except DriverError as error:
            answered = answered or error.unsupported or error.code == Code.IMPOSSIBLE
            if not error.unsupported or kind is ProcessKind.COMPUTE:
                last = error.without_frames()
                if kind in _FAILURES:
                    problems.append(_(_FAILURES[kind]).format(why=error.text))
    return ProcessLists(merge_lists(found), "; ".join(problems) or None, last, answered)


def merge_lists(
    lists: Iterable[tuple[ProcessKind, Sequence[tuple[int, int | None]]]], most: int = MAX_MEMORY
) -> tuple[ListedProcess, ...]:
    """
    Make one entry for each PID, in the order of the lists, of what can be one.

    A process that computes and draws is in two lists with the same memory: the larger number is its memory,
    never the sum. One of more than `most` bytes cannot be.
    """
    there = [(kind, rows) for kind, rows in lists if rows]
    if len(there) == 1:
        ((kind, rows),) = there
        memories = dict(rows)
        if len(memories) == len(rows) and min(memories) > 0 and max(memories) <= MAX_PID:
            # The usual case at once: nothing to merge or to leave out.
            kinds = _KINDS[_BITS[kind]]
            return tuple([(pid, kinds, _process_memory(memory, most)) for pid, memory in rows])
    bits: dict[int, int] = {}
    memories = {}
    for kind, rows in there:
        bit = _BITS[kind]
        for pid, memory in rows:
            if pid in bits:
                bits[pid] |= bit
                known = memories[pid]
                if known is None or (memory is not None and memory > known):
                    memories[pid] = memory
            elif 0 < pid <= MAX_PID:
                bits[pid] = bit
                memories[pid] = memory
    return tuple(
        [(pid, _KINDS[bits[pid]], _process_memory(memory, most)) for pid, memory in memories.items()]
    )


def _process_memory(memory: int | None, most: int) -> Field[int]:
    if memory is None:
        return UNSUPPORTED
    return memory if memory <= most else Missing(Why.ERROR, impossible(memory))


_EMPTY_SLOT_READS = 4  # an empty slot is read every fourth time, a quarter of the slots at each
_MAX_SLOTS = 64  # an A100 has 7
_MIG_GPU = gpu_without_values(UNSUPPORTED)


def read_mig_devices(
    driver: Driver, seen: SeenGpu, parent: DeviceQuery
) -> tuple[tuple[GpuReading, ...], list[str]]:
    """Read the MIG devices, and why some could not be read; raises DriverError where the GPU is lost."""
    parts: list[GpuReading] = []
    troubles: list[str] = []
    off: list[str] = []
    slots = seen.mig_slots.read(parent, driver.mig_slots, seen.reads)
    if isinstance(slots, Missing):
        return (), [_("MIG devices: {why}").format(why=slots.detail or _("not supported"))]
    empty_are_known, seen.slots_known = seen.slots_known, False
    for slot in range(min(slots, _MAX_SLOTS)):
        known = seen.migs.get(slot)
        if known is None and empty_are_known and (slot + seen.reads) % _EMPTY_SLOT_READS:
            continue
        try:
            device = driver.mig_device(parent.handle, slot)
            uuid = "" if device is None else driver.uuid(device)
        except DriverError as error:
            if error.code in LOST:
                raise
            known = seen.migs.setdefault(slot, MigDevice(""))  # read every time until it answers
            (off if error.unsupported else troubles).append(
                _("MIG device {slot}: {why}").format(slot=slot, why=error.text)
            )
            if known.uuid and not error.unsupported:
                parts.append(_unreadable_mig_device(seen, known, error))
            continue
        if device is None:
            seen.migs.pop(slot, None)
            continue
        if known is None or known.uuid != uuid:
            known = seen.migs[slot] = MigDevice(uuid)
        parts.append(_read_mig_device(driver, seen, known, device))
    seen.slots_known = True
    # Where no slot has a device, MIG mode was switched off since it was read.
    return tuple(parts), [*troubles, *(off if parts else ())]


def _read_mig_device(driver: Driver, seen: SeenGpu, mig: MigDevice, device: Handle) -> GpuReading:
    query = DeviceQuery(device)
    try:
        name = mig.name.read(query, driver.name, seen.reads)
        used, total = split_pair(query.field(driver.memory))
    except DriverError as error:  # it was removed meanwhile
        return _unreadable_mig_device(seen, mig, error)
    lists = read_process_lists(lambda kind: driver.processes(device, kind))
    gpu = replace(
        _MIG_GPU,
        index=seen.index,
        uuid=mig.uuid,
        name=name,
        memory_used=used,
        memory_total=total,
        process_problem=lists.problem,
        physical=seen.uuid,
    )
    return GpuReading(gpu, lists.processes)


def _unreadable_mig_device(seen: SeenGpu, mig: MigDevice, error: DriverError) -> GpuReading:
    missing = Missing(Why.ERROR, error.text)
    gpu = replace(
        _MIG_GPU,
        index=seen.index,
        uuid=mig.uuid,
        name=mig.name.value,
        memory_used=missing,
        memory_total=missing,
        process_problem=error.text,
        physical=seen.uuid,
    )
    return GpuReading(gpu)


def read_gpu(driver: Driver, seen: SeenGpu) -> GpuReading:
    """Read everything about a GPU; `seen` loses its handle where the GPU as a whole does not answer."""
    if seen.asleep:
        return asleep_reading(seen)
    if seen.handle is None:
        return unreachable_reading(seen)
    query = DeviceQuery(seen.handle)
    try:
        reading = _read_values(driver, seen, query)
    except DriverError as error:
        seen.mark_lost(error)
        return unreachable_reading(seen)
    if not query.answered and query.error is not None:
        seen.mark_lost(query.error)
        return unreachable_reading(seen)
    return reading


def _read_values(driver: Driver, seen: SeenGpu, query: DeviceQuery) -> GpuReading:
    reads = seen.reads
    name = seen.name.read(query, driver.name, reads)
    divided = seen.mig_mode.read(query, driver.mig_mode, reads) is True
    used, total = split_pair(query.field(driver.memory))
    pending, failed = split_pair(seen.rows.read(query, driver.rows, reads))
    power_limit = seen.power_limit.read(query, driver.power_limit, reads)
    gpu = Gpu(
        seen.index,
        seen.uuid,
        name,
        memory_used=used,
        memory_total=total,
        # NVML tells none of a GPU in MIG mode.
        utilisation=UNSUPPORTED if divided else query.field(driver.utilisation),
        temperature=query.field(driver.temperature),
        power=query.field(lambda handle: _power(driver, handle, power_limit)),
        power_limit=power_limit,
        fan=seen.fan.read(query, driver.fan, reads),
        slowdown_at=seen.slowdown_at.read(query, driver.slowdown_at, reads),
        limited_by=query.field(driver.limited_by),
        ecc_corrected=seen.ecc_corrected.read(query, driver.ecc_corrected, reads),
        ecc_uncorrected=seen.ecc_uncorrected.read(query, driver.ecc_uncorrected, reads),
        rows_pending=pending,
        rows_failed=failed,
        pcie_width=seen.pcie_width.read(query, driver.pcie_width, reads),
        pcie_width_most=seen.pcie_width_most.read(query, driver.pcie_width_most, reads),
        energy=seen.energy.read(query, driver.energy, reads),
        # By itself: the driver knows the action of a GPU that answers nothing.
        recovery=seen.recovery.read(DeviceQuery(query.handle), driver.recovery, reads),
    )
    seen.reads += 1
    parts, troubles = read_mig_devices(driver, seen, query) if divided else ((), [])
    processes = _remaining_processes(driver, query, parts, troubles)
    if troubles:
        gpu = replace(gpu, process_problem="; ".join(troubles))
    return GpuReading(gpu, processes, parts)


def _power(driver: Driver, handle: Handle, limit: Field[float]) -> float:
    power = driver.power(handle)
    return power if isinstance(limit, Missing) or not limit else bounded(power, 0, MAX_EXCURSION * limit)


def _remaining_processes(
    driver: Driver, query: DeviceQuery, parts: tuple[GpuReading, ...], troubles: list[str]
) -> tuple[ListedProcess, ...]:
    """
    Return the processes that are on none of the `parts`; add to `troubles` why they are not all.

    In MIG mode everything that computes is on a MIG device. The GPU's own list has all that once more, where
    the caller may see it at all: it is read only where no MIG device gives its own.
    """
    if any(part.gpu.process_problem is None for part in parts):
        query.answered = True
        troubles += [f"{part.gpu.uuid}: {problem}" for part in parts if (problem := part.gpu.process_problem)]
        return ()
    lists = read_process_lists(lambda kind: driver.processes(query.handle, kind))
    if lists.error is not None:
        if lists.error.code in LOST:
            raise DriverError(lists.error.code, lists.error.text)  # this frame holds the other one
        query.error = lists.error
    query.answered = query.answered or lists.answered
    if lists.problem is not None:
        troubles.append(lists.problem)
    elsewhere = {pid for part in parts for pid, _kinds, _memory in part.processes}
    if not elsewhere:
        return lists.processes
    return tuple(process for process in lists.processes if process[0] not in elsewhere)
