"""The GPUs seen since the start, those that went missing too, and which of them are suspended."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from gpuwatch_tray.sources.nvml.api import Code, DriverError
from gpuwatch_tray.sources.nvml.query import CachedValue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.sources.nvml.api import Driver, Handle


class MigDevice(Struct):
    """A MIG device that was seen in a slot of its GPU."""

    uuid: str
    name: CachedValue[str] = field(default_factory=lambda: CachedValue(0, lasting=True))


class SeenGpu(Struct, eq=False):
    """
    A GPU that was seen, or whose index was: `uuid` is empty until it first answers.

    `handle` is None while it cannot be reached; `error` then says why, unless it is `asleep`. `pci` is its
    address on the PCI bus, empty where the driver does not tell it. `reads` counts the reads of its values.
    """

    index: int
    uuid: str = ""
    pci: str = ""
    handle: Handle | None = None
    error: DriverError | None = None
    asleep: bool = False
    reads: int = 0
    slots_known: bool = False  # every MIG slot has been read: those that are not in `migs` were empty
    migs: dict[int, MigDevice] = field(default_factory=dict)
    name: CachedValue[str] = field(default_factory=lambda: CachedValue(0, lasting=True))
    power_limit: CachedValue[float] = field(default_factory=lambda: CachedValue(1))
    fan: CachedValue[int] = field(default_factory=lambda: CachedValue(2))
    ecc_corrected: CachedValue[int] = field(default_factory=lambda: CachedValue(3))
    ecc_uncorrected: CachedValue[int] = field(default_factory=lambda: CachedValue(4))
    rows: CachedValue[tuple[bool, bool]] = field(default_factory=lambda: CachedValue(5))
    pcie_width: CachedValue[int] = field(default_factory=lambda: CachedValue(6))
    pcie_width_most: CachedValue[int] = field(default_factory=lambda: CachedValue(7, lasting=True))
    slowdown_at: CachedValue[int] = field(default_factory=lambda: CachedValue(8, lasting=True))
    mig_mode: CachedValue[bool] = field(default_factory=lambda: CachedValue(9))
    mig_slots: CachedValue[int] = field(default_factory=lambda: CachedValue(10, lasting=True))
    energy: CachedValue[float] = field(default_factory=lambda: CachedValue(11))
    recovery: CachedValue[int] = field(default_factory=lambda: CachedValue(0))

    @property
    def lost(self) -> bool:
        """Whether it does not answer; one that is left asleep is not lost."""
        return self.error is not None and not self.asleep

    def mark_lost(self, error: DriverError) -> None:
        """Note that it cannot be reached: its handle is asked for anew next time."""
        self.handle = None
        self.error = error.without_frames()  # it is kept for long: not the frames with it

    def mark_found(self, handle: Handle, index: int, uuid: str) -> None:
        """Note that it answers."""
        self.handle, self.index, self.uuid, self.error = handle, index, uuid, None


class Inventory:
    """
    The GPUs in the order of first sight; `sleep` tells which must not be woken.

    `hidden` are the indexes of those that this session was never allowed to use, as where a cgroup of Slurm
    or of a container leaves them out: they are somebody else's, and not lost.
    """

    def __init__(self, sleep: SleepPolicy) -> None:
        self.gpus: list[SeenGpu] = []
        self.hidden: set[int] = set()
        self._sleep = sleep
        self._count = -1

    def forget_handles(self) -> None:
        """Drop every handle: a shutdown makes them void."""
        for seen in self.gpus:
            seen.handle = None

    def all_asleep(self) -> bool:
        """Tell from the kernel whether every GPU is suspended, and note those not seen before."""
        cards = self._sleep.cards()
        if not cards or not all(map(self._sleep.asleep, cards)):
            return False
        if any(not seen.pci for seen in self.gpus):
            return False
        for card in cards:
            self._add_sleeping(card)
        for seen in self.gpus:
            seen.asleep = seen.pci in cards
            if not seen.asleep:
                seen.mark_lost(DriverError(Code.GPU_NOT_FOUND, "GPU not found"))
        return True

    def refresh(self, driver: Driver) -> None:
        """Find new GPUs and those without a handle, but wake none. Raises DriverError."""
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
        self.hidden.clear()
        for index in range(count):
            try:
                handle = driver.by_index(index)
                uuid = driver.uuid(handle)  # without its UUID it could be any GPU
            except DriverError as error:
                failed[index] = error.without_frames()
                continue
            pci = self._address(driver, handle, uuid)
            self._match(missing, index, uuid, pci).mark_found(handle, index, uuid)
        # Only now: an index that fails is most likely that of a GPU that no other index has brought back.
        for index, failure in failed.items():
            seen = self._match(missing, index, "")
            seen.mark_lost(failure)
            if failure.code == Code.NO_PERMISSION and not seen.uuid and not seen.pci:
                self.gpus.remove(seen)
                self.hidden.add(index)
        for seen in missing:
            seen.mark_lost(DriverError(Code.GPU_NOT_FOUND, "GPU not found"))
        self._separate_indexes(count)

    def _separate_indexes(self, count: int) -> None:
        """Give another index to a lost GPU whose own is another's now."""
        taken = {seen.index for seen in self.gpus if seen.handle is not None}
        for seen in self.gpus:
            if seen.handle is None:
                if seen.index in taken:
                    seen.index = next(n for n in range(count, count + len(self.gpus)) if n not in taken)
                taken.add(seen.index)

    def _enumerate_awake(self, driver: Driver, count: int, sleeping: list[str]) -> None:
        """Find GPUs by their addresses on the PCI bus: asking for an index would wake the GPU that has it."""
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
                    seen.mark_lost(error)  # a card that was never seen may be another container's
                continue
            self._match(missing, index, uuid, card).mark_found(handle, index, uuid)
        for seen in missing:
            seen.mark_lost(DriverError(Code.GPU_NOT_FOUND, "GPU not found"))
        for card in sleeping:
            known = any(seen.pci == card for seen in self.gpus)
            if known or len(self.gpus) < count:
                self._add_sleeping(card)

    def _add_sleeping(self, card: str) -> None:
        """Note that the GPU at this PCI address sleeps; one without an index gets the first free one."""
        seen = next((seen for seen in self.gpus if seen.pci == card), None)
        if seen is None:
            seen = SeenGpu(-1, pci=card)
            self.gpus.append(seen)
        seen.asleep = True
        if not seen.uuid:
            taken = {gpu.index for gpu in self.gpus if gpu is not seen}
            seen.index = next(n for n in range(len(self.gpus)) if n not in taken)

    def _address(self, driver: Driver, handle: Handle, uuid: str) -> str:
        """Return its address on the PCI bus, which is read once; empty where it is not known."""
        known = next((seen.pci for seen in self.gpus if seen.uuid == uuid), "")
        with suppress(DriverError):
            known = known or driver.pci(handle)
        return known

    def _match(self, missing: list[SeenGpu], index: int, uuid: str, pci: str = "") -> SeenGpu:
        """Return the GPU of that UUID, else of that address or index; taken from `missing`, or a new one."""
        matches = [
            *(seen for seen in missing if uuid and seen.uuid == uuid),
            *(seen for seen in missing if pci and seen.pci == pci and not seen.uuid),
            *(seen for seen in missing if seen.index == index and not (uuid and seen.uuid)),
        ]
        gpu = matches[0] if matches else SeenGpu(index)
        (missing.remove if matches else self.gpus.append)(gpu)
        gpu.pci = pci or gpu.pci
        return gpu


DEVICES = Path("/sys/bus/pci/devices")
CARDS = Path("/proc/driver/nvidia/gpus")

REST = 30.0  # seconds that an unused GPU is left alone: the driver and the kernel suspend it within about ten
SCAN_EVERY = 60.0  # seconds between two searches for GPUs that were plugged in: each reads all of the PCI bus
_NVIDIA = "0x10de"
_DISPLAY = "0x03"  # VGA compatible, or 3D controller


class SleepPolicy:
    """
    Tells which GPUs sleep or may fall asleep; with `wake` all are treated as awake.

    A call to a GPU that sleeps wakes it, which costs 5 to 25 W; Linux tells its state without that. An open
    session, or a call every few seconds, keeps a GPU awake: one that may sleep and that nobody computes on is
    left alone for a while. `devices` and `cards` are the kernel's and the driver's folders of all GPUs.
    """

    def __init__(
        self, steady: Callable[[], float], *, wake: bool = False, devices: Path = DEVICES, cards: Path = CARDS
    ) -> None:
        self._steady = steady
        self.wake = wake
        self._devices = devices
        self._driver_cards = cards
        self._cards: tuple[str, ...] = ()
        self._status_files: dict[str, str] = {}
        self._scanned: float | None = None
        self._rest_until: float | None = None

    def cards(self) -> Sequence[str]:
        """Return the PCI addresses of the GPUs that may sleep: none where all are treated as awake."""
        return () if self.wake else self.present()

    def present(self) -> Sequence[str]:
        """Return the PCI addresses of NVIDIA's GPUs; none where the system does not tell."""
        now = self._steady()
        if self._scanned is None or now - self._scanned >= SCAN_EVERY:
            self._scanned = now
            self._cards = tuple(sorted(path.name for path in self._folders() if _is_gpu(path)))
        return self._cards

    def asleep(self, pci: str) -> bool:
        """Tell whether the GPU at this PCI address is suspended."""
        if self.wake or not pci:
            return False
        file = self._status_files.get(pci)  # read of every GPU at every poll
        if file is None:
            file = self._status_files[pci] = str(self._devices / pci / "power" / "runtime_status")
        return first_line(file) == "suspended"

    def may_sleep(self, pci: str) -> bool:
        """Tell whether the driver would let the GPU at this PCI address sleep if nobody used it."""
        if self.wake or not pci or first_line(self._devices / pci / "power" / "control") != "auto":
            return False
        for line in _text(self._driver_cards / pci / "power").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "Runtime D3 status":
                return value.strip().startswith("Enabled")
        return False

    def begin_rest(self) -> None:
        """Leave the GPUs alone for REST seconds."""
        self._rest_until = self._steady() + REST

    def is_resting(self) -> bool:
        """Tell whether the GPUs are to be left alone now."""
        return self._rest_until is not None and self._steady() < self._rest_until

    def end_rest(self) -> None:
        """End the rest: the GPUs sleep, and one that is awake next is in use."""
        self._rest_until = None

    def _folders(self) -> Sequence[Path]:
        with suppress(OSError):  # another system, or a container without it
            return list(self._devices.iterdir())
        return ()


def _is_gpu(path: Path) -> bool:
    """Tell whether it is a GPU that NVIDIA's driver has: another driver's is never called."""
    if first_line(path / "vendor") != _NVIDIA or not first_line(path / "class").startswith(_DISPLAY):
        return False
    try:
        return (path / "driver").readlink().name == "nvidia"
    except OSError:
        return False


def first_line(path: Path | str) -> str:
    """Read the first line of a small file; empty where there is none."""
    return _text(path).partition("\n")[0].strip()


_PAGE = 4096  # bytes: a file of the kernel's here holds no more


def _text(path: Path | str) -> str:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return os.read(file, _PAGE).decode("ascii", "replace")
    except OSError:
        return ""
    finally:
        os.close(file)
