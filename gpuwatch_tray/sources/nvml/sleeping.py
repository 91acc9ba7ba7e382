"""GPUs that the system has suspended, as laptops do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
        self._scanned: float | None = None
        self._rest_until: float | None = None

    def cards(self) -> Sequence[str]:
        """Return the PCI addresses of NVIDIA's GPUs; none where the system does not tell."""
        if self.wake:
            return ()
        now = self._steady()
        if self._scanned is None or now - self._scanned >= SCAN_EVERY:
            self._scanned = now
            self._cards = tuple(sorted(path.name for path in self._folders() if _is_gpu(path)))
        return self._cards

    def asleep(self, pci: str) -> bool:
        """Tell whether the GPU at this PCI address is suspended."""
        if self.wake or not pci:
            return False
        return _line(self._devices / pci / "power" / "runtime_status") == "suspended"

    def may_sleep(self, pci: str) -> bool:
        """Tell whether the driver would let the GPU at this PCI address sleep if nobody used it."""
        if self.wake or not pci or _line(self._devices / pci / "power" / "control") != "auto":
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
        try:
            return list(self._devices.iterdir())
        except OSError:  # another system, or a container without it
            return ()


def _is_gpu(path: Path) -> bool:
    """Tell whether it is a GPU that NVIDIA's driver has: another driver's is never called."""
    if _line(path / "vendor") != _NVIDIA or not _line(path / "class").startswith(_DISPLAY):
        return False
    try:
        return (path / "driver").readlink().name == "nvidia"
    except OSError:
        return False


def _line(path: Path) -> str:
    return _text(path).partition("\n")[0].strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
