"""One reading of one GPU: each value, unsupported, or an error by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.model import UNSUPPORTED, Gpu
from gpuwatch_tray.sources.nvml.asking import Asking, both
from gpuwatch_tray.sources.nvml.codes import DriverError
from gpuwatch_tray.sources.nvml.lists import read_lists
from gpuwatch_tray.sources.nvml.mig import read_parts
from gpuwatch_tray.sources.nvml.problems import LOST
from gpuwatch_tray.sources.nvml.readings import Reading, asleep, unreachable

if TYPE_CHECKING:
    from gpuwatch_tray.sources.nvml.binding import Driver
    from gpuwatch_tray.sources.nvml.inventory import Seen
    from gpuwatch_tray.sources.nvml.lists import Listed


def read_gpu(driver: Driver, seen: Seen) -> Reading:
    """Read everything about `seen`; it loses its handle where the GPU as a whole does not answer."""
    if seen.asleep:
        return asleep(seen)
    if seen.handle is None:
        return unreachable(seen)
    asking = Asking(seen.handle)
    try:
        reading = _ask(driver, seen, asking)
    except DriverError as error:
        seen.lose(error)
        return unreachable(seen)
    if not asking.answered and asking.error is not None:
        seen.lose(asking.error)
        return unreachable(seen)
    return reading


def _ask(driver: Driver, seen: Seen, asking: Asking) -> Reading:
    reads = seen.reads
    name = seen.name.ask(asking, driver.name, reads)
    divided = seen.mig_mode.ask(asking, driver.mig_mode, reads) is True
    used, total = both(asking.field(driver.memory))
    # NVML tells none of a GPU in MIG mode.
    utilisation = UNSUPPORTED if divided else asking.field(driver.utilisation)
    temperature = asking.field(driver.temperature)
    power = asking.field(driver.power)
    limited_by = asking.field(driver.limited_by)
    pending, failed = both(seen.rows.ask(asking, driver.rows, reads))
    power_limit = seen.power_limit.ask(asking, driver.power_limit, reads)
    fan = seen.fan.ask(asking, driver.fan, reads)
    corrected = seen.ecc_corrected.ask(asking, driver.ecc_corrected, reads)
    uncorrected = seen.ecc_uncorrected.ask(asking, driver.ecc_uncorrected, reads)
    width = seen.pcie_width.ask(asking, driver.pcie_width, reads)
    width_most = seen.pcie_width_most.ask(asking, driver.pcie_width_most, reads)
    slowdown_at = seen.slowdown_at.ask(asking, driver.slowdown_at, reads)
    energy = seen.energy.ask(asking, driver.energy, reads)
    seen.reads += 1

    parts: tuple[Reading, ...] = ()
    troubles: list[str] = []
    if divided:
        parts, troubles = read_parts(driver, seen, asking)
    processes = _processes(driver, asking, parts, troubles)
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
    return Reading(gpu, processes, parts)


def _processes(
    driver: Driver, asking: Asking, parts: tuple[Reading, ...], troubles: list[str]
) -> tuple[Listed, ...]:
    """
    The processes that are on none of the `parts`; `troubles` gets why they are not all.

    In MIG mode everything that computes is on a MIG device. The GPU's own list has all that once more, where
    the caller may see it at all: it is asked only where no MIG device tells its own.
    """
    if any(part.gpu.process_problem is None for part in parts):
        asking.answered = True
        troubles += [f"{part.gpu.uuid}: {problem}" for part in parts if (problem := part.gpu.process_problem)]
        return ()
    lists = read_lists(lambda kind: driver.processes(asking.handle, kind))
    if lists.error is not None:
        if lists.error.code in LOST:
            raise lists.error
        asking.error = lists.error
    asking.answered = asking.answered or lists.answered
    if lists.problem is not None:
        troubles.append(lists.problem)
    elsewhere = {one.pid for part in parts for one in part.processes}
    if not elsewhere:
        return lists.processes
    return tuple(one for one in lists.processes if one.pid not in elsewhere)
