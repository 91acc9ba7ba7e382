"""
The GPUs seen since the start: one that goes missing stays, with its problem.

A shorter list would look like fewer GPUs in use.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpuwatch_tray.model import UNKNOWN, Field
from gpuwatch_tray.sources.nvml.binding import Code, Driver, DriverError, Handle


@dataclass(slots=True, eq=False)
class Seen:
    """
    A GPU that was seen, or whose slot was: `uuid` is empty while it never answered.

    `handle` is None while it cannot be reached, `error` then says why. `reads` counts for the slow tier.
    """

    index: int
    uuid: str = ""
    name: Field[str] = UNKNOWN
    handle: Handle | None = None
    error: DriverError | None = None
    reads: int = 0
    power_limit: Field[float] = UNKNOWN
    fan: Field[int] = UNKNOWN

    def lose(self, error: DriverError) -> None:
        """It cannot be reached: ask for its handle anew next time."""
        self.handle = None
        self.error = error.with_traceback(None)  # kept for long: not the frames with it


class Inventory:
    """`gpus` are those seen, in the order of first sight."""

    def __init__(self) -> None:
        self.gpus: list[Seen] = []
        self._count = -1

    def forget_handles(self) -> None:
        """After a shutdown: every handle is void."""
        for seen in self.gpus:
            seen.handle = None

    def refresh(self, driver: Driver) -> None:
        """
        Find GPUs that came, and again those that have no handle.

        Raises DriverError where the driver does not even tell how many there are.
        """
        count = driver.count()
        if count != self._count or any(seen.handle is None for seen in self.gpus):
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
            seen = self._match(missing, index, uuid)
            seen.index, seen.uuid, seen.handle, seen.error = index, uuid, handle, None
        # Only now: an index that fails is most likely of a GPU that no other index has brought back.
        for index, failure in failed.items():
            self._match(missing, index, "").lose(failure)
        for seen in missing:
            seen.lose(DriverError(Code.GPU_NOT_FOUND, "GPU not found"))

    def _match(self, missing: list[Seen], index: int, uuid: str) -> Seen:
        """The GPU of that UUID, else the one at that index; taken from `missing`, or a new one."""
        for seen in missing:
            if uuid and seen.uuid == uuid:
                missing.remove(seen)
                return seen
        for seen in missing:
            if seen.index == index and not (uuid and seen.uuid):
                missing.remove(seen)
                return seen
        seen = Seen(index)
        self.gpus.append(seen)
        return seen
