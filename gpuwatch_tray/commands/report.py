"""`report`: the details page as a file, in the browser if wanted."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import machine, opening, report
from gpuwatch_tray.commands import pages
from gpuwatch_tray.commands.asking import reach
from gpuwatch_tray.commands.past import past
from gpuwatch_tray.context import UsageError, WorkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuwatch_tray.context import Setup

log = logging.getLogger(__name__)

HOUR = 3600.0
MOST_HOURS = 30 * 24  # for which samples are kept


@dataclass(frozen=True, slots=True)
class Live:
    """What the program that watches told: its status, its state's folder, own processes' commands by PID."""

    status: Mapping[str, Any] | None = None
    state: Path | None = None
    commands: Mapping[int, str] = field(default_factory=dict)


def run(setup: Setup, *, out: str | None, hours: int, show: bool) -> int:
    """Make the page of the last `hours`, print its file's name, and open it if it is to be shown."""
    if hours > MOST_HOURS:
        raise UsageError(f"--hours: expected at most {MOST_HOURS}, the 30 days that are kept, got {hours}")
    live = ask(setup)
    if live.state is not None:
        setup = replace(setup, settings=replace(setup.settings, state=live.state))
    now = machine.now().wall
    history = past(setup, now - hours * HOUR, now)
    about = report.Page(
        setup.host,
        now,
        simulated=setup.simulated,
        live=live.status,
        commands=live.commands,
        warn_at=setup.settings.limits.heat.warn_at,
    )
    file = Path(out) if out is not None else pages.place(setup.settings.state, setup.state_name, os.environ)
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
    """
    What is known of the present; nothing where nobody watches, or an older version does.

    Raises WorkError for a demo that does not run: its state is nowhere else.
    """
    try:
        answer = reach(setup, {"do": "details"})
    except WorkError as error:
        if setup.simulated:
            raise
        log.warning("%s", error)
        return Live()
    if answer is None:
        if setup.simulated:
            raise WorkError("no demo is running: `gpuwatch-tray --demo` starts one")
        return Live()
    return Live(answer["status"], Path(answer["state"]), dict(answer["commands"]))
