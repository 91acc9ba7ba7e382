"""`report`: the page as a file, opened in the browser if wanted."""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import machine
from gpuwatch_tray.context import UsageError, WorkError
from gpuwatch_tray.language import _
from gpuwatch_tray.model import TEN_MINUTES
from gpuwatch_tray.store.samplereader import UseDetail
from gpuwatch_tray.units import HOUR, MINUTE
from gpuwatch_tray.usage import GroupBy, usage

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.context import RunContext

log = logging.getLogger(__name__)

MOST_HOURS = 30 * 24  # samples are kept so long


def make_page(context: RunContext, args: argparse.Namespace) -> int:
    """Make the page of the last hours, print its file's name, and open it with --open."""
    from gpuwatch_tray import opening, report
    from gpuwatch_tray.commands.pages import make_private_folder, page_file, write_page
    from gpuwatch_tray.commands.past import read_history
    from gpuwatch_tray.commands.usage import usage_json

    if args.hours > MOST_HOURS:
        text = _("--hours: expected at most {most}, the 30 days that are kept, got {hours}")
        raise UsageError(text.format(most=MOST_HOURS, hours=args.hours))
    # A month is half a million small objects without cycles: the collector would take half of the time, and
    # this process ends right after.
    gc.disable()
    details = _request_details(context)
    now = machine.now().wall
    start = now - args.hours * HOUR
    finest = MINUTE if report.step(start, now) < TEN_MINUTES else TEN_MINUTES
    history = read_history(context, start, now, finest=finest, processes=UseDetail.SUMMED)
    page = report.PageContext(
        context.host,
        now,
        simulated=context.simulated,
        live=details.get("status"),
        present=frozenset(details.get("present", ())),
        commands=dict(details.get("commands", ())),
        warn_at=context.settings.limits.heat.warn_at,
        usage=usage_json(usage(history, GroupBy.USER), history, context.settings.energy_price),
    )
    folder = Path(details["state"]) if details else context.settings.state
    file = Path(args.out) if args.out is not None else page_file(folder, context.state_name, os.environ)
    try:
        if args.out is None:
            make_private_folder(file.parent)
        write_page(file, report.html(history, page))
    except OSError as error:
        raise WorkError(f"{file}: {error.strerror or error}") from error
    print(file)
    if args.open:
        try:
            opening.open_page(file)
        except opening.OpeningError as error:
            raise WorkError(str(error)) from error
    return 0


def _request_details(context: RunContext) -> dict[str, Any]:
    """Request what the page shows of the present; empty where nothing runs, or an older version does."""
    from gpuwatch_tray.commands.asking import try_request

    try:
        return try_request(context, {"do": "details"}) or {}
    except WorkError as error:
        log.warning("%s", error)
        return {}
