"""What the rules share: building a verdict, naming GPUs and processes, and which processes count."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Field, Finding, Gpu, Missing, Severity, Snapshot, Verdict, Why
from gpuwatch_tray.rules.devices import gpu_name, gpu_subject, physical_gpus
from gpuwatch_tray.rules.scope import gap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


class VerdictBuilder:
    """
    Collects the findings of one rule in one snapshot, and builds its verdict.

    A value that could not be read this time leaves its subject open; one that is never given means that the
    rule cannot fire there, which leaves the rest as it is. A snapshot that failed leaves all
    open, unless `open_` says that the rule needs none.
    """

    def __init__(self, rule: str, snapshot: Snapshot, *, open_: bool = True) -> None:
        self.rule = rule
        self._snapshot = snapshot
        self._findings: dict[str, Finding] = {}
        self._band: set[str] = set()
        self._open: dict[str, None] = {}  # the lines, each once
        self._subjects: dict[str, None] = {}
        self._cannot: dict[str, None] = {}
        self._each: list[str] = []
        self._worst: tuple[float, str] | None = None
        if open_ and snapshot.problem is not None:
            self.leave_open(str(snapshot.problem), "")

    def boards(self, *, lasting: bool = False) -> Iterator[tuple[str, Gpu]]:
        """
        Yield the physical GPUs that can be judged, with their subjects.

        One that sleeps is neither hot nor busy; of what is `lasting`, such as a fault, nothing new is known.
        """
        return self._awake(physical_gpus(self._snapshot), lasting=lasting)

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
        """
        Return the value; where it is missing, None, and note that for the subjects that begin with `names`.

        A subject of exactly that name does not recover by that, though the value may never be given again,
        unless it is not `held`. `what` says in English what it is (`N_`).
        """
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
        self._each.append(line)

    def fire(self, name: str, severity: Severity, reason: str, text: str, value: float = 0.0) -> None:
        """Add a finding; of several about one subject the first stays."""
        if name not in self._findings:
            self._findings[name] = Finding(self.rule, name, severity, reason, value, text)

    def build(self, threshold: str, calm: str = N_("no GPU to measure")) -> Verdict:
        """Build the verdict; `calm` is the text where nothing was there to measure."""
        return Verdict(
            self.rule,
            tuple(self._findings.values()),
            "; ".join(self._open) or None,
            tuple(self._subjects) or ("",),
            frozenset(self._band - self._findings.keys()),
            self._value(_(calm)),
            threshold,
            tuple(self._cannot),
            tuple(self._each),
        )

    def _value(self, calm: str) -> str:
        if self._worst is not None:
            return self._worst[1]
        return "" if self._cannot else calm
