"""
What the menu says: Status -> rows, pure.

Every row carries a key that stands for what it shows (a GPU's UUID, a process's PID and start), never for its
place, so that whoever serves the menu can tell a changed row from another one. Keys are unique in a menu.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from gpuwatch_tray import redact
from gpuwatch_tray.model import Missing, Severity, known, labelled
from gpuwatch_tray.tray import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpuwatch_tray.model import Alert, Gpu, GpuProcess, Snapshot, Status

LINE = 100  # characters of a free-text row
WRAP = 80  # characters of a line of a wrapped command
WRAP_LINES = 8
SHOWN = 20  # processes a GPU lists before "… N more"
STEP = 256 * text.MIB  # memory is compared in steps of this, so that two alike do not change places

SEVERITIES = {Severity.INFO: "Note", Severity.WARNING: "Warning", Severity.CRITICAL: "Critical"}


class Act(Enum):
    """What a click on a row asks for."""

    CHECK_NOW = "check now"
    SEND_TEST_MAIL = "send test mail"
    QUIT = "quit"


@dataclass(frozen=True, slots=True)
class Row:
    """
    One row of the menu.

    `subject` names what the row is about wherever it stands (a process may move to another submenu).
    `gone` is what is put before the label when the subject has ceased while the menu is open. An `urgent` row
    is shown at once, also in an open menu. A `filler` stands for a list's emptiness: it leaves with the first
    row that comes.
    """

    key: str
    label: str = ""
    act: Act | None = None
    enabled: bool = True
    children: tuple[Row, ...] = ()
    subject: str = ""
    gone: str = "Over"
    urgent: bool = False
    filler: bool = False

    @property
    def separator(self) -> bool:
        """Whether it is a line and no row."""
        return not self.label


def rows(status: Status) -> tuple[Row, ...]:
    """The whole menu of a status, from the status line to Quit."""
    return (
        _urgent("status", headline(status)),
        *(_urgent(f"note:{place}", note) for place, note in enumerate(status.notes)),
        Row("line:gpus"),
        *_gpus(status.snapshot),
        *([Row("line:alerts")] if status.alerts else []),
        *_unique(_alert(alert) for alert in status.alerts),
        Row("line:acts"),
        Row("check now", "Check now", Act.CHECK_NOW),
        Row("test mail", "Send test mail", Act.SEND_TEST_MAIL, enabled=status.mail_possible),
        Row("line:quit"),
        Row("quit", "Quit", Act.QUIT),
    )


def headline(status: Status) -> str:
    """The reason in one line, labelled where the numbers are simulated."""
    simulated = status.snapshot is not None and status.snapshot.simulated
    return text.clip(labelled(status.headline, simulated=simulated), LINE)


def _text(key: str, label: str) -> Row:
    return Row(key, text.clip(label, LINE) or "?", enabled=False)


def _urgent(key: str, label: str) -> Row:
    return replace(_text(key, label), urgent=True)


def _alert(alert: Alert) -> Row:
    return _urgent(f"alert:{alert.fingerprint}", f"{SEVERITIES[alert.severity]}: {alert.reason}")


def _gpus(snapshot: Snapshot | None) -> Sequence[Row]:
    if snapshot is None:
        return [_urgent("problem", "The GPUs have not been read yet")]
    if snapshot.problem is not None:
        problem = snapshot.problem
        mend = [_urgent("mend", problem.mend)] if problem.mend else []
        return [_urgent("problem", problem.text), *mend]
    held: dict[int | None, list[GpuProcess]] = {}
    for process in snapshot.processes:
        held.setdefault(process.gpu, []).append(process)
    rows = [_gpu(gpu, held.pop(gpu.index, [])) for gpu in sorted(snapshot.gpus, key=lambda gpu: gpu.index)]
    # a process list names GPUs that no device list has, and may not be able to name them at all
    for index in sorted(held, key=lambda index: (index is None, index or 0)):
        label = "GPU ?" if index is None else f"GPU {index}"
        rows.append(_parent(f"gpu:index:{index}", label, _processes(f"gpu:index:{index}", held[index])))
    return _unique(rows) or [_urgent("problem", "No GPUs and no GPU processes are reported")]


def _gpu(gpu: Gpu, held: Sequence[GpuProcess]) -> Row:
    key = f"gpu:{gpu.uuid or gpu.index}"
    children = list(_processes(key, held))
    trouble = gpu.process_problem or gpu.problem
    if trouble is not None:
        children.insert(0, _text(f"{key}/trouble", f"processes unknown: {trouble}"))
    elif not held:
        children.append(replace(_text(f"{key}/none", "no processes"), gone="Until now", filler=True))
    return _parent(key, text.gpu(gpu), children)


def _parent(key: str, label: str, children: Sequence[Row]) -> Row:
    return Row(key, label, children=tuple(children), gone="No data", urgent=True)


def _processes(parent: str, held: Sequence[GpuProcess]) -> Sequence[Row]:
    """The processes, longest first, for that order stays; of many, only the largest, and then the rest."""
    first, rest = sorted(held, key=_age), []
    if len(first) > SHOWN:
        largest = {id(process) for process in sorted(first, key=_weight)[:SHOWN]}
        rest = [process for process in first if id(process) not in largest]
        first = [process for process in first if id(process) in largest]
    rows = [*_unique(_process(parent, process) for process in first)]
    if rest:
        more = f"{parent}/more"
        hidden = _unique(_process(more, process) for process in rest)
        rows.append(Row(more, f"… {len(rest)} more", children=tuple(hidden), gone="Before"))
    return rows


def _age(process: GpuProcess) -> tuple[int, float, int]:
    started, ran = known(process.started), known(process.elapsed)
    if started is not None:
        return 0, started, process.pid
    return (2, 0.0, process.pid) if ran is None else (1, -ran, process.pid)


def _weight(process: GpuProcess) -> tuple[int, float, int]:
    return -((known(process.memory) or 0) // STEP), -(known(process.elapsed) or 0.0), process.pid


def _process(parent: str, process: GpuProcess) -> Row:
    subject = f"process:{process.pid}:{process.identity}"
    key = f"{parent}/{subject}"
    return Row(
        key, text.process(process), children=tuple(_details(key, process)), subject=subject, gone="Ended"
    )


def _details(key: str, process: GpuProcess) -> Iterable[Row]:
    command = f"Command: {text.command(process) or 'not known'}"
    lines = textwrap.wrap(command, WRAP, max_lines=WRAP_LINES, placeholder=" …", subsequent_indent="    ")
    for place, line in enumerate(lines):
        yield Row(f"{key}/command:{place}", line, enabled=False)
    yield _text(f"{key}/folder", f"Folder: {_folder(process)}")
    started = process.started
    yield _text(
        f"{key}/started",
        f"Started: {text.why(started) if isinstance(started, Missing) else text.moment(started)}",
    )
    yield _text(f"{key}/type", f"Type: {text.kinds(process)}")


def _folder(process: GpuProcess) -> str:
    """Where it works, for one's own processes only: other people's folders can tell as much as commands."""
    if not process.mine:
        return "not shown for other people's processes"
    return text.why(process.cwd) if isinstance(process.cwd, Missing) else redact.text(process.cwd)


def _unique(rows: Iterable[Row]) -> list[Row]:
    """The rows without those whose key has been before: a source that says a thing twice says it once."""
    return list({row.key: row for row in rows}.values())
