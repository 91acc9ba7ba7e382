"""What the rules share: building a verdict, naming GPUs and processes, and which processes count."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from gpuwatch_tray.common.proclist import program_and_script
from gpuwatch_tray.common.reading_gaps import gap, why_unowned
from gpuwatch_tray.common.text import cut_to_width
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import (
    MPS_SERVERS,
    Field,
    Finding,
    Gpu,
    GpuProcess,
    Limits,
    Missing,
    ProcessScope,
    Severity,
    Snapshot,
    Verdict,
    Why,
    gpu_subject,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


LONGEST_TITLE = 60  # columns of a process's name in a sentence


def gpu_label(gpu: Gpu) -> str:
    """Name a GPU in English, for the reasons; a MIG device has no number of its own."""
    return f"MIG device {gpu.uuid} on GPU {gpu.index}" if gpu.physical else f"GPU {gpu.index}"


def gpu_name(gpu: Gpu) -> str:
    """Name a GPU for a sentence, in the person's language."""
    if not gpu.physical:
        return f"GPU {gpu.index}"
    return _("MIG device {uuid} on GPU {index}").format(uuid=gpu.uuid, index=gpu.index)


class GpuLookup:
    """Finds the GPU, or the MIG device, that a process is on."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._by_uuid = {gpu.uuid: gpu for gpu in snapshot.gpus if gpu.uuid}
        self._by_index = {gpu.index: gpu for gpu in snapshot.gpus if not gpu.physical}

    def of(self, process: GpuProcess) -> Gpu | None:
        """Return the GPU of a process, or None where the source could not tell."""
        if process.device:
            return self._by_uuid.get(process.device)
        return None if process.gpu is None else self._by_index.get(process.gpu)


def process_identity(snapshot: Snapshot, process: GpuProcess) -> str:
    """Return a name that no later process has; empty where the start is unknown: a PID may be used again."""
    return f"{snapshot.boot_id}/{process.pid}/{process.identity}" if process.identity else ""


def process_prefix(snapshot: Snapshot, process: GpuProcess) -> str:
    """Return what the subjects about a process begin with, whenever it may have started."""
    return f"{snapshot.boot_id}/{process.pid}/"


def process_title(process: GpuProcess) -> str:
    """Name a process for a sentence by its program and script, without further arguments."""
    where = "" if process.gpu is None else f", GPU {process.gpu}"
    program, script = program_and_script(process)
    name = f"{program} {script}" if script else program or _("A process")
    return f"{cut_to_width(name, LONGEST_TITLE)} (PID {process.pid}{where})"


def counted(snapshot: Snapshot, limits: Limits) -> tuple[GpuProcess, ...]:
    """Return the processes that count: they compute, are not ignored, and are within PROCESS_SCOPE."""
    return split_by_owner(snapshot, limits)[0]


def split_by_owner(
    snapshot: Snapshot, limits: Limits
) -> tuple[tuple[GpuProcess, ...], tuple[GpuProcess, ...]]:
    """Return the processes that count, and those that might: their owner is unknown, as in a container."""
    if limits.scope is ProcessScope.ALL:
        return computing(snapshot, limits), ()
    mine, unowned = snapshot.by_owner
    if not (ignored := _ignored_programs(snapshot, limits)):
        return mine, unowned
    return _without(mine, ignored), _without(unowned, ignored)


def unowned_line(process: GpuProcess) -> str:
    """Say why a process of unknown owner leaves a rule open, and how to change that."""
    if (why := why_unowned(process)) is not None:  # one line for all of them
        text = _("the owners of some processes are not known: {why} (PROCESS_SCOPE=all counts everyone's)")
        return text.format(why=why)
    text = _("the owner of process {pid} is not known (PROCESS_SCOPE=all counts everyone's)")
    return text.format(pid=process.pid)


def computing(snapshot: Snapshot, limits: Limits) -> tuple[GpuProcess, ...]:
    """Return everybody's processes with a compute context, without IGNORE_PROCESSES."""
    ignored = _ignored_programs(snapshot, limits)
    return _without(snapshot.computing, ignored) if ignored else snapshot.computing


def _ignored_programs(snapshot: Snapshot, limits: Limits) -> set[Field[str]]:
    return {name for name in snapshot.programs if _ignored(name, limits)}


def _without(processes: Iterable[GpuProcess], ignored: set[Field[str]]) -> tuple[GpuProcess, ...]:
    return tuple([process for process in processes if process.name not in ignored])


def computes(process: GpuProcess, limits: Limits) -> bool:
    """Tell whether a process is one of those."""
    return process.computes and process.name not in MPS_SERVERS and not _ignored(process.name, limits)


def _ignored(name: Field[str], limits: Limits) -> bool:
    return not isinstance(name, Missing) and name.lower() in limits.ignore


T = TypeVar("T")


class VerdictBuilder:
    """
    Collects the findings of one rule in one snapshot, and builds its verdict.

    A value that could not be read leaves its subject open; where one is never given, the rule cannot fire. A
    snapshot that failed leaves all open, unless `open_` says that the rule needs none.
    """

    def __init__(self, rule: str, snapshot: Snapshot, *, open_: bool = True) -> None:
        self.rule = rule
        self._snapshot = snapshot
        self._findings: dict[str, Finding] = {}
        self._band: set[str] = set()
        self._open: dict[str, None] = {}  # the lines, each once
        self._subjects: dict[str, None] = {}
        self._cannot: dict[str, None] = {}
        self._gpu_lines: list[str] = []
        self._worst: tuple[float, str] | None = None
        if open_ and snapshot.problem is not None:
            self.leave_open(str(snapshot.problem), "")

    def boards(self, *, lasting: bool = False) -> Iterator[tuple[str, Gpu]]:
        """Yield the physical GPUs that can be judged, with their subjects; not those that sleep."""
        # One that sleeps is neither hot nor busy; of what is `lasting`, such as a fault, nothing new is
        # known.
        return self._awake(self._snapshot.boards, lasting=lasting)

    def devices(self) -> Iterator[tuple[str, Gpu]]:
        """Yield the GPUs and the MIG devices that can be judged, with their subjects."""
        return self._awake((gpu_subject(gpu), gpu) for gpu in self._snapshot.gpus)

    def _awake(self, gpus: Iterable[tuple[str, Gpu]], *, lasting: bool = False) -> Iterator[tuple[str, Gpu]]:
        if self._snapshot.problem is not None:
            return
        for name, gpu in gpus:
            if gpu.problem is not None:
                self.leave_open(gap(gpu), name)
            elif gpu.asleep:
                if lasting:
                    self._band.add(name)
            else:
                yield name, gpu

    def read(self, gpu: Gpu, what: str, value: Field[T], *names: str, held: bool = True) -> T | None:
        """Return the value; where it is missing, None, noted for the subjects `names`."""
        # `what` says in English what it is (`N_`). A subject of exactly that name does not recover by that,
        # though the value may never be given again, unless it is not `held`.
        if not isinstance(value, Missing):
            return value
        self._band.update(names if held else ())
        if value.why is Why.ERROR:
            detail = f": {value.detail}" if value.detail else ""
            line = _("{what} of {gpu} cannot be read").format(what=_(what), gpu=gpu_name(gpu))
            self.leave_open(line + detail, *names)
        elif value.why is Why.UNSUPPORTED:
            self.cannot_fire(_("{gpu} does not report {what}").format(gpu=gpu_name(gpu), what=_(what)))
        else:
            self.cannot_fire(_("this source does not report {what}").format(what=_(what)))
        return None

    def leave_open(self, line: str, *subjects: str) -> None:
        """Conclude nothing about the subjects that begin with `subjects`; `line` says why."""
        self._open[line] = None
        self._subjects.update(dict.fromkeys(subjects))

    def cannot_fire(self, line: str) -> None:
        """Note that the rule cannot fire somewhere; `line` says where and why."""
        self._cannot[line] = None

    def in_band(self, name: str) -> None:
        """Note a subject past the threshold that clears, and not at the one that raises."""
        self._band.add(name)

    @property
    def can_fire_everywhere(self) -> bool:
        """Whether the rule can fire wherever it was asked to."""
        return not self._cannot

    def is_worst(self, value: float) -> bool:
        """Tell whether this value is the greatest so far: only that one needs a sentence."""
        return self._worst is None or value > self._worst[0]

    def measure(self, value: float, text: str) -> None:
        """Record a measured value with its sentence; the verdict has the greatest."""
        if self.is_worst(value):
            self._worst = value, text

    def add_gpu_line(self, line: str) -> None:
        """Add the line of one GPU, where GPUs have limits of their own."""
        self._gpu_lines.append(line)

    def fire(self, name: str, severity: Severity, reason: str, text: str, value: float = 0.0) -> None:
        """Add a finding; of several about one subject the first stays."""
        if name not in self._findings:
            self._findings[name] = Finding(self.rule, name, severity, reason, value, text)

    def build(self, threshold: str, calm: str = N_("no GPU to measure")) -> Verdict:
        """Build the verdict; `calm` is the text where nothing was there to measure."""
        value = "" if self._cannot else _(calm)
        return Verdict(
            self.rule,
            tuple(self._findings.values()),
            "; ".join(self._open) or None,
            tuple(self._subjects) or ("",),
            frozenset(self._band - self._findings.keys()),
            value if self._worst is None else self._worst[1],
            threshold,
            tuple(self._cannot),
            tuple(self._gpu_lines),
        )
