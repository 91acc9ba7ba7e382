"""
The GPUs seen since the start: one that goes missing stays, with its problem.

A shorter list would look like fewer GPUs in use. MIG devices are no part of it: they come and go with their
GPU's configuration.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuwatch_tray.sources.nvml.asking import Kept
from gpuwatch_tray.sources.nvml.codes import Code, DriverError

if TYPE_CHECKING:
    from gpuwatch_tray.sources.nvml.api import Handle
    from gpuwatch_tray.sources.nvml.binding import Driver
    from gpuwatch_tray.sources.nvml.sleeping import Sleep


@dataclass(slots=True)
class Mig:
    """A MIG device that was seen in a slot of its GPU."""

    uuid: str
    name: Kept[str] = field(default_factory=lambda: Kept(0, lasting=True))


@dataclass(slots=True, eq=False)
class Seen:
    """
    A GPU that was seen, or whose slot was: `uuid` is empty while it never answered.

    `handle` is None while it cannot be reached, `error` then says why, save where it is `asleep`. `pci` is
    empty where the driver does not tell it. `reads` counts for the values that are kept.
    """

    index: int
    uuid: str = ""
    pci: str = ""
    handle: Handle | None = None
    error: DriverError | None = None
    asleep: bool = False
    reads: int = 0
    migs: dict[int, Mig] = field(default_factory=dict)
    name: Kept[str] = field(default_factory=lambda: Kept(0, lasting=True))
    power_limit: Kept[float] = field(default_factory=lambda: Kept(1))
    fan: Kept[int] = field(default_factory=lambda: Kept(2))
    ecc_corrected: Kept[int] = field(default_factory=lambda: Kept(3))
    ecc_uncorrected: Kept[int] = field(default_factory=lambda: Kept(4))
    rows: Kept[tuple[bool, bool]] = field(default_factory=lambda: Kept(5))
    pcie_width: Kept[int] = field(default_factory=lambda: Kept(6))
    pcie_width_most: Kept[int] = field(default_factory=lambda: Kept(7, lasting=True))
    slowdown_at: Kept[int] = field(default_factory=lambda: Kept(8, lasting=True))
    mig_mode: Kept[bool] = field(default_factory=lambda: Kept(9))
    mig_slots: Kept[int] = field(default_factory=lambda: Kept(10, lasting=True))
    energy: Kept[float] = field(default_factory=lambda: Kept(11))

    @property
    def lost(self) -> bool:
        """Whether it does not answer, which is another thing than being left asleep."""
        return self.error is not None and not self.asleep

    def lose(self, error: DriverError) -> None:
        """It cannot be reached: ask for its handle anew next time."""
        self.handle = None
        self.error = error.with_traceback(None)  # kept for long: not the frames with it

    def found(self, handle: Handle, index: int, uuid: str) -> None:
        """It answers."""
        self.handle, self.index, self.uuid, self.error = handle, index, uuid, None


class Inventory:
    """`gpus` are those seen, in the order of first sight. `sleep` tells which ones are not to be touched."""

    def __init__(self, sleep: Sleep) -> None:
        self.gpus: list[Seen] = []
        self._sleep = sleep
        self._count = -1

    def forget_handles(self) -> None:
        """After a shutdown: every handle is void."""
        for seen in self.gpus:
            seen.handle = None

    def all_asleep(self) -> bool:
        """
        Whether every GPU of this machine is to be left asleep, as the kernel tells without waking any.

        Those not seen before are listed then.
        """
        cards = self._sleep.cards()
        if not cards or not all(map(self._sleep.asleep, cards)):
            return False
        if any(not seen.pci for seen in self.gpus):
            return False
        for card in cards:
            self._sleeping(card)
        for seen in self.gpus:
            seen.asleep = seen.pci in cards
            if not seen.asleep:
                seen.lose(DriverError(Code.GPU_NOT_FOUND, "GPU not found"))
        return True

    def refresh(self, driver: Driver) -> None:
        """
        Find GPUs that came, and again those that have no handle; those asleep are left alone.

        Raises DriverError where the driver does not even tell how many there are.
        """
        count = driver.count()
        for seen in self.gpus:
            seen.asleep = self._sleep.asleep(seen.pci)
        if count != self._count or any(seen.handle is None and not seen.asleep for seen in self.gpus):
            sleeping = [card for card in self._sleep.cards() if self._sleep.asleep(card)]
            if sleeping:
                self._enumerate_awake(driver, count, sleeping)
            else:
                self._enumerate(driver, count)
        self._count = count

    def _enumerate(self, driver: Driver, count: int) -> None:
        missing = list(self.gpus)
        failed: dict[int, DriverError] = {}
        for index in range(count):
            try:
                handle = driver.by_index(index)
                uuid = driver.uuid(handle)  # one that does not tell who it is cannot be told from another
            except DriverError as error:
                failed[index] = error
                continue
            pci = self._address(driver, handle, uuid)
            self._match(missing, index, uuid, pci).found(handle, index, uuid)
        # Only now: an index that fails is most likely of a GPU that no other index has brought back.
        for index, failure in failed.items():
            self._match(missing, index, "").lose(failure)
        for seen in missing:
            seen.lose(DriverError(Code.GPU_NOT_FOUND, "GPU not found"))
        self._apart(count)

    def _apart(self, count: int) -> None:
        """Another index for a GPU whose own is another's now: nobody shall take the two for one."""
        taken = {seen.index for seen in self.gpus if seen.handle is not None}
        for seen in self.gpus:
            if seen.handle is None:
                if seen.index in taken:
                    seen.index = next(n for n in range(count, count + len(self.gpus)) if n not in taken)
                taken.add(seen.index)

    def _enumerate_awake(self, driver: Driver, count: int, sleeping: list[str]) -> None:
        """By their places on the PCI bus: to ask for an index would wake the GPU that has it."""
        missing = [seen for seen in self.gpus if seen.pci not in sleeping]
        for card in self._sleep.cards():
            if card in sleeping:
                continue
            try:
                handle = driver.by_pci(card)
                index, uuid = driver.index(handle), driver.uuid(handle)
            except DriverError as error:
                for seen in [seen for seen in missing if seen.pci == card]:
                    missing.remove(seen)
                    seen.lose(error)  # a card that was never seen may be another container's
                continue
            self._match(missing, index, uuid, card).found(handle, index, uuid)
        for seen in missing:
            seen.lose(DriverError(Code.GPU_NOT_FOUND, "GPU not found"))
        for card in sleeping:
            known = any(seen.pci == card for seen in self.gpus)
            if known or len(self.gpus) < count:
                self._sleeping(card)

    def _sleeping(self, card: str) -> None:
        """A GPU that sleeps; where the driver never told its index, with the first that no other has."""
        seen = next((seen for seen in self.gpus if seen.pci == card), None)
        if seen is None:
            seen = Seen(-1, pci=card)
            self.gpus.append(seen)
        seen.asleep = True
        if not seen.uuid:
            taken = {each.index for each in self.gpus if each is not seen}
            seen.index = next(n for n in range(len(self.gpus)) if n not in taken)

    def _address(self, driver: Driver, handle: Handle, uuid: str) -> str:
        """Where on the PCI bus it is: asked once."""
        known = next((seen.pci for seen in self.gpus if seen.uuid == uuid), "")
        if not known:
            try:
                known = driver.pci(handle)
            except DriverError:
                known = ""
        return known

    def _match(self, missing: list[Seen], index: int, uuid: str, pci: str = "") -> Seen:
        """The GPU of that UUID, else the one in that place; taken from `missing`, or a new one."""
        found = [
            *(seen for seen in missing if uuid and seen.uuid == uuid),
            *(seen for seen in missing if pci and seen.pci == pci and not seen.uuid),
            *(seen for seen in missing if seen.index == index and not (uuid and seen.uuid)),
        ]
        if found:
            missing.remove(found[0])
        else:
            found = [Seen(index)]
            self.gpus.append(found[0])
        found[0].pci = pci or found[0].pci
        return found[0]
