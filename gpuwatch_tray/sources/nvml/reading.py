"""One reading of one GPU: each value, unsupported, or an error by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from gpuwatch_tray.model import UNSUPPORTED, Field, Gpu, Missing, Why
from gpuwatch_tray.sources.nvml.binding import Driver, DriverError, Handle
from gpuwatch_tray.sources.nvml.lists import Listed, read_lists
from gpuwatch_tray.sources.nvml.problems import LOST, gpu_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpuwatch_tray.sources.nvml.inventory import Seen

T = TypeVar("T")

SLOW = 12  # reads between two of the values that hardly change: a minute at the default interval


@dataclass(frozen=True, slots=True)
class Reading:
    """A GPU and its processes. `error` is why it could not be read as a whole, if so."""

    gpu: Gpu
    processes: tuple[Listed, ...] = ()
    error: DriverError | None = None


def read_gpu(driver: Driver, seen: Seen) -> Reading:
    """Read everything about `seen`; it loses its handle where the GPU as a whole does not answer."""
    if seen.handle is None:
        return _unreachable(seen)
    asking = _Asking(seen.handle)
    try:
        reading = _ask(driver, seen, asking)
    except DriverError as error:
        seen.lose(error)
        return _unreachable(seen)
    if not asking.answered and asking.error is not None:
        seen.lose(asking.error)
        return _unreachable(seen)
    return reading


class _Asking:
    """Calls about one GPU, and whether it answered any of them: "not supported" is an answer too."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.answered = False
        self.error: DriverError | None = None

    def field(self, call: Callable[[Handle], T]) -> Field[T]:
        """The value of `call`, or how it is missing. Raises DriverError where the GPU is lost."""
        try:
            value = call(self.handle)
        except DriverError as error:
            if error.code in LOST:
                raise
            if error.unsupported:
                self.answered = True
                return UNSUPPORTED
            self.error = error
            return Missing(Why.ERROR, error.text)
        self.answered = True
        return value


def _ask(driver: Driver, seen: Seen, asking: _Asking) -> Reading:
    handle = asking.handle
    if isinstance(seen.name, Missing):
        seen.name = asking.field(driver.name)
    memory = asking.field(driver.memory)
    used, total = (memory, memory) if isinstance(memory, Missing) else memory
    utilisation = asking.field(driver.utilisation)
    temperature = asking.field(driver.temperature)
    power = asking.field(driver.power)
    due = seen.reads % SLOW == 0
    if due or _failed(seen.power_limit):
        seen.power_limit = asking.field(driver.power_limit)
    if due or _failed(seen.fan):
        seen.fan = asking.field(driver.fan)
    seen.reads += 1

    lists = read_lists(lambda kind: driver.processes(handle, kind))
    if lists.error is not None:
        if lists.error.code in LOST:
            raise lists.error
        asking.error = lists.error
    asking.answered = asking.answered or lists.answered
    gpu = Gpu(
        seen.index,
        seen.uuid,
        seen.name,
        memory_used=used,
        memory_total=total,
        utilisation=utilisation,
        temperature=temperature,
        power=power,
        power_limit=seen.power_limit,
        fan=seen.fan,
        process_problem=lists.problem,
    )
    return Reading(gpu, lists.processes)


def _failed(value: Field[T]) -> bool:
    return isinstance(value, Missing) and value.why is not Why.UNSUPPORTED


def _unreachable(seen: Seen) -> Reading:
    error = seen.error
    if error is None:
        raise ValueError("a GPU without a handle has an error")
    problem = gpu_problem(error)
    missing = Missing(Why.ERROR, error.text)
    gpu = Gpu(
        seen.index,
        seen.uuid,
        seen.name,
        memory_used=missing,
        memory_total=missing,
        utilisation=missing,
        temperature=missing,
        power=missing,
        power_limit=missing,
        fan=missing,
        problem=problem,
        process_problem=problem,
    )
    return Reading(gpu, error=error)
