"""`report`: the details page as a file, in the browser if wanted."""

from __future__ import annotations

import gc
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import machine, opening, report
from gpuwatch_tray.commands import pages
from gpuwatch_tray.commands.asking import reach
from gpuwatch_tray.commands.past import past
from gpuwatch_tray.commands.usage import record
from gpuwatch_tray.context import UsageError, WorkError
from gpuwatch_tray.language import _
from gpuwatch_tray.model import TEN_MINUTES
from gpuwatch_tray.store.samplereader import UseDetail
from gpuwatch_tray.units import HOUR, MINUTE
from gpuwatch_tray.usage import GroupBy, usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.context import Setup

log = logging.getLogger(__name__)

MOST_HOURS = 30 * 24  # for which samples are kept


@dataclass(frozen=True, slots=True)
class Live:
    """What the program that watches told: see `report.Page`; and the folder of its state."""

    status: Mapping[str, Any] | None = None
    state: Path | None = None
    present: frozenset[int] = frozenset()
    commands: Mapping[int, str] = field(default_factory=dict)


def run(setup: Setup, *, out: str | None, hours: int, show: bool) -> int:
    """Make the page of the last `hours`, print its file's name, and open it if it is to be shown."""
    if hours > MOST_HOURS:
        text = _("--hours: expected at most {most}, the 30 days that are kept, got {hours}")
        raise UsageError(text.format(most=MOST_HOURS, hours=hours))
    # A month is half a million small values, none of them in a cycle: looking through them again and again
    # would take half of the time, and this process ends right after.
    gc.disable()
    live = ask(setup)
    now = machine.now().wall
    start = now - hours * HOUR
    finest = MINUTE if report.step(start, now) < TEN_MINUTES else TEN_MINUTES
    history = past(setup, start, now, finest=finest, processes=UseDetail.SUMMED)
    about = report.PageContext(
        setup.host,
        now,
        simulated=setup.simulated,
        live=live.status,
        present=live.present,
        commands=live.commands,
        warn_at=setup.settings.limits.heat.warn_at,
        usage=record(usage(history, GroupBy.USER), history, setup.settings.energy_price),
    )
    folder = live.state or setup.settings.state
    file = Path(out) if out is not None else pages.place(folder, setup.state_name, os.environ)
    try:
        if out is None:
            pages.make_private(file.parent)
        pages.write(file, report.html(history, about))
    except OSError as error:
        raise WorkError(f"{file}: {error.strerror or error}") from error
    print(file)
    if show:
        try:
            opening.open_page(file)
        except opening.OpeningError as error:
            raise WorkError(str(error)) from error
    return 0


def ask(setup: Setup) -> Live:
    """What is known of the present; nothing where nobody watches, or an older version does."""
    try:
        answer = reach(setup, {"do": "details"})
    except WorkError as error:
        log.warning("%s", error)
        answer = None
    if answer is None:
        return Live()
    commands = dict(answer["commands"])
    return Live(answer["status"], Path(answer["state"]), frozenset(answer["present"]), commands)
