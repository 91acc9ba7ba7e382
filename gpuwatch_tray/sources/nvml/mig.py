"""The MIG devices of a GPU: GPUs of their own, of which NVML tells the memory and the processes, no more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.model import UNSUPPORTED, Missing, Why
from gpuwatch_tray.sources.nvml.asking import DeviceQuery, split_pair
from gpuwatch_tray.sources.nvml.codes import DriverError
from gpuwatch_tray.sources.nvml.inventory import MigDevice
from gpuwatch_tray.sources.nvml.lists import read_process_lists
from gpuwatch_tray.sources.nvml.problems import LOST
from gpuwatch_tray.sources.nvml.readings import GpuReading, gpu_without_values

if TYPE_CHECKING:
    from gpuwatch_tray.sources.nvml.api import Handle
    from gpuwatch_tray.sources.nvml.binding import Driver
    from gpuwatch_tray.sources.nvml.inventory import SeenGpu

_EMPTY_SLOT_READS = 4  # an empty slot is read every fourth time, a quarter of the slots at each
_MAX_SLOTS = 64  # an A100 has 7
_MIG_GPU = gpu_without_values(UNSUPPORTED)


def read_mig_devices(
    driver: Driver, seen: SeenGpu, parent: DeviceQuery
) -> tuple[tuple[GpuReading, ...], list[str]]:
    """
    Read the MIG devices of a GPU; return them and why some of them could not be read.

    The device in a slot may change from read to read, and its handle with it, so both are read each time.
    Raises DriverError where the GPU is lost.
    """
    parts: list[GpuReading] = []
    troubles: list[str] = []
    off: list[str] = []
    slots = seen.mig_slots.read(parent, driver.mig_slots, seen.reads)
    if isinstance(slots, Missing):
        return (), [_("MIG devices: {why}").format(why=slots.detail or _("not supported"))]
    for slot in range(min(slots, _MAX_SLOTS)):
        known = seen.migs.get(slot)
        if known is None and seen.reads > 1 and (slot + seen.reads) % _EMPTY_SLOT_READS:
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
