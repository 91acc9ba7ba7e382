"""
GPUs that the system has suspended, as laptops do: who asks one wakes it, which costs 5 to 25 W.

Linux tells the state of a device without waking it. An open session with the driver, or a question every
few seconds, keeps a GPU awake as well: one that may sleep and that nobody computes on is left alone for a
while, so that it can fall asleep.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEVICES = Path("/sys/bus/pci/devices")
CARDS = Path("/proc/driver/nvidia/gpus")

REST = 30.0  # seconds that an unused GPU is left alone: the driver and the kernel suspend it within about ten
LOOK = 60.0  # seconds between two looks for GPUs that were plugged in: each reads all of the PCI bus
_NVIDIA = "0x10de"
_DISPLAY = "0x03"  # VGA compatible, or 3D controller


class Sleep:
    """
    Which GPUs sleep, or may fall asleep. `wake` is for treating them as if none did.

    `devices` and `cards` are the folders in which the kernel and the driver have one of each GPU's.
    """

    def __init__(
        self, steady: Callable[[], float], *, wake: bool = False, devices: Path = DEVICES, cards: Path = CARDS
    ) -> None:
        self._steady = steady
        self.wake = wake
        self._devices = devices
        self._driver = cards
        self._found: tuple[str, ...] = ()
        self._looked: float | None = None
        self._rest_until: float | None = None

    def cards(self) -> Sequence[str]:
        """The places on the PCI bus of NVIDIA's GPUs; none where the system does not tell."""
        if self.wake:
            return ()
        now = self._steady()
        if self._looked is None or now - self._looked >= LOOK:
            self._looked = now
            self._found = tuple(sorted(path.name for path in self._folders() if _is_gpu(path)))
        return self._found

    def asleep(self, pci: str) -> bool:
        """Whether the GPU there is suspended."""
        if self.wake or not pci:
            return False
        return _line(self._devices / pci / "power" / "runtime_status") == "suspended"

    def may_sleep(self, pci: str) -> bool:
        """Whether the driver would let the GPU there sleep, were nobody to use it."""
        if self.wake or not pci or _line(self._devices / pci / "power" / "control") != "auto":
            return False
        for line in _text(self._driver / pci / "power").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "Runtime D3 status":
                return value.strip().startswith("Enabled")
        return False

    def rest(self) -> None:
        """Leave the GPUs alone for a while."""
        self._rest_until = self._steady() + REST

    def resting(self) -> bool:
        """Whether that while is not over."""
        return self._rest_until is not None and self._steady() < self._rest_until

    def stirred(self) -> None:
        """A GPU sleeps: the next time that it is awake, somebody uses it."""
        self._rest_until = None

    def _folders(self) -> Sequence[Path]:
        try:
            return list(self._devices.iterdir())
        except OSError:  # another system, or a container without it
            return ()


def _is_gpu(path: Path) -> bool:
    """Whether it is a GPU that NVIDIA's driver has: another driver's is not asked for, asleep or awake."""
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
