"""The MIG devices of a GPU: GPUs of their own, of which NVML tells the memory and the processes, no more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.model import UNSUPPORTED, Missing, Why
from gpuwatch_tray.sources.nvml.asking import Asking, both
from gpuwatch_tray.sources.nvml.codes import DriverError
from gpuwatch_tray.sources.nvml.inventory import Mig
from gpuwatch_tray.sources.nvml.lists import read_lists
from gpuwatch_tray.sources.nvml.problems import LOST
from gpuwatch_tray.sources.nvml.readings import Reading, silent

if TYPE_CHECKING:
    from gpuwatch_tray.sources.nvml.api import Handle
    from gpuwatch_tray.sources.nvml.binding import Driver
    from gpuwatch_tray.sources.nvml.inventory import Seen

_EMPTY = 4  # an empty slot is looked into every fourth read, a quarter of them at each
_MOST = 64  # slots; an A100 has 7
_PART = silent(UNSUPPORTED)


def read_parts(driver: Driver, seen: Seen, parent: Asking) -> tuple[tuple[Reading, ...], list[str]]:
    """
    Read the MIG devices of `seen`, and tell what kept some of them from being read.

    Which device is in a slot may change from read to read, and a handle with it, so both are asked for.
    Raises DriverError where the GPU is lost.
    """
    parts: list[Reading] = []
    troubles: list[str] = []
    off: list[str] = []
    slots = seen.mig_slots.ask(parent, driver.mig_slots, seen.reads)
    if isinstance(slots, Missing):
        return (), [_("MIG devices: {why}").format(why=slots.detail or _("not supported"))]
    for slot in range(min(slots, _MOST)):
        known = seen.migs.get(slot)
        if known is None and seen.reads > 1 and (slot + seen.reads) % _EMPTY:
            continue
        try:
            device = driver.mig_device(parent.handle, slot)
            uuid = "" if device is None else driver.uuid(device)
        except DriverError as error:
            if error.code in LOST:
                raise
            known = seen.migs.setdefault(slot, Mig(""))  # to be looked at in every read until it answers
            (off if error.unsupported else troubles).append(
                _("MIG device {slot}: {why}").format(slot=slot, why=error.text)
            )
            if known.uuid and not error.unsupported:
                parts.append(_unreadable(seen, known, error))
            continue
        if device is None:
            seen.migs.pop(slot, None)
            continue
        if known is None or known.uuid != uuid:
            known = seen.migs[slot] = Mig(uuid)
        parts.append(_read(driver, seen, known, device))
    # Where no slot is anything, the mode was switched off since it was asked for.
    return tuple(parts), [*troubles, *(off if parts else ())]


def _read(driver: Driver, seen: Seen, mig: Mig, device: Handle) -> Reading:
    asking = Asking(device)
    try:
        name = mig.name.ask(asking, driver.name, seen.reads)
        used, total = both(asking.field(driver.memory))
    except DriverError as error:  # it went while it was asked
        return _unreadable(seen, mig, error)
    lists = read_lists(lambda kind: driver.processes(device, kind))
    gpu = replace(
        _PART,
        index=seen.index,
        uuid=mig.uuid,
        name=name,
        memory_used=used,
        memory_total=total,
        process_problem=lists.problem,
        physical=seen.uuid,
    )
    return Reading(gpu, lists.processes)


def _unreadable(seen: Seen, mig: Mig, error: DriverError) -> Reading:
    missing = Missing(Why.ERROR, error.text)
    gpu = replace(
        _PART,
        index=seen.index,
        uuid=mig.uuid,
        name=mig.name.value,
        memory_used=missing,
        memory_total=missing,
        process_problem=error.text,
        physical=seen.uuid,
    )
    return Reading(gpu)
