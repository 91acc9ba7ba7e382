"""Reading one GPU with its processes and MIG devices; each value can be missing by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.model import UNSUPPORTED, Gpu
from gpuwatch_tray.sources.nvml.asking import DeviceQuery, split_pair
from gpuwatch_tray.sources.nvml.codes import DriverError
from gpuwatch_tray.sources.nvml.lists import read_process_lists
from gpuwatch_tray.sources.nvml.mig import read_mig_devices
from gpuwatch_tray.sources.nvml.problems import LOST
from gpuwatch_tray.sources.nvml.readings import GpuReading, ListedProcess, asleep_reading, unreachable_reading

if TYPE_CHECKING:
    from gpuwatch_tray.sources.nvml.binding import Driver
    from gpuwatch_tray.sources.nvml.inventory import SeenGpu


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
    # NVML tells none of a GPU in MIG mode.
    utilisation = UNSUPPORTED if divided else query.field(driver.utilisation)
    temperature = query.field(driver.temperature)
    power = query.field(driver.power)
    limited_by = query.field(driver.limited_by)
    pending, failed = split_pair(seen.rows.read(query, driver.rows, reads))
    power_limit = seen.power_limit.read(query, driver.power_limit, reads)
    fan = seen.fan.read(query, driver.fan, reads)
    corrected = seen.ecc_corrected.read(query, driver.ecc_corrected, reads)
    uncorrected = seen.ecc_uncorrected.read(query, driver.ecc_uncorrected, reads)
    width = seen.pcie_width.read(query, driver.pcie_width, reads)
    width_most = seen.pcie_width_most.read(query, driver.pcie_width_most, reads)
    slowdown_at = seen.slowdown_at.read(query, driver.slowdown_at, reads)
    energy = seen.energy.read(query, driver.energy, reads)
    seen.reads += 1

    parts: tuple[GpuReading, ...] = ()
    troubles: list[str] = []
    if divided:
        parts, troubles = read_mig_devices(driver, seen, query)
    processes = _remaining_processes(driver, query, parts, troubles)
    gpu = Gpu(
        seen.index,
        seen.uuid,
        name,
        memory_used=used,
        memory_total=total,
        utilisation=utilisation,
        temperature=temperature,
        power=power,
        power_limit=power_limit,
        fan=fan,
        process_problem="; ".join(troubles) or None,
        slowdown_at=slowdown_at,
        limited_by=limited_by,
        ecc_corrected=corrected,
        ecc_uncorrected=uncorrected,
        rows_pending=pending,
        rows_failed=failed,
        pcie_width=width,
        pcie_width_most=width_most,
        energy=energy,
    )
    return GpuReading(gpu, processes, parts)


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
            raise lists.error
        query.error = lists.error
    query.answered = query.answered or lists.answered
    if lists.problem is not None:
        troubles.append(lists.problem)
    elsewhere = {process.pid for part in parts for process in part.processes}
    if not elsewhere:
        return lists.processes
    return tuple(process for process in lists.processes if process.pid not in elsewhere)
