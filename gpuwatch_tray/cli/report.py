"""`report`: the page of what happened, and who used what."""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.bootstrap import UsageError, WorkError
from gpuwatch_tray.cli import usage as usage_commands
from gpuwatch_tray.cli.base import positive_int
from gpuwatch_tray.common import host
from gpuwatch_tray.history.sample_reader import UseDetail
from gpuwatch_tray.history.usage import GroupBy, usage
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import TEN_MINUTES
from gpuwatch_tray.units import HOUR, MINUTE

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.app.bootstrap import RunContext
    from gpuwatch_tray.cli.base import CommandGroup


log = logging.getLogger(__name__)

MOST_HOURS = 30 * 24  # samples are kept so long


def make_page(context: RunContext, args: argparse.Namespace) -> int:
    """Make the page of the last hours, print its file's name, and open it with --open."""
    from gpuwatch_tray import report
    from gpuwatch_tray.app.history_query import read_history
    from gpuwatch_tray.app.report_page import make_private_folder, page_file, write_page
    from gpuwatch_tray.cli.usage import usage_json
    from gpuwatch_tray.desktop import launcher

    if args.hours > MOST_HOURS:
        text = _("--hours: expected at most {most}, the 30 days that are kept, got {hours}")
        raise UsageError(text.format(most=MOST_HOURS, hours=args.hours))
    # A month is half a million small objects without cycles: the collector would take half of the time, and
    # this process ends right after.
    gc.disable()
    details = _request_details(context)
    now = host.now().wall
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
            launcher.open_page(file)
        except launcher.OpeningError as error:
            raise WorkError(str(error)) from error
    return 0


def _request_details(context: RunContext) -> dict[str, Any]:
    """Request what the page shows of the present; empty where nothing runs, or an older version does."""
    from gpuwatch_tray.app.tray_client import try_request

    try:
        return try_request(context, {"do": "details"}) or {}
    except WorkError as error:
        log.warning("%s", error)
        return {}


DEFAULT_HOURS = 24


def add_commands(commands: CommandGroup) -> None:
    """Add `report` and its tasks."""
    page, tasks = commands.group(
        "report",
        _("the details page: what happened in the last hours, and who was on which GPU"),
        "report --open",
        "report --hours 168 --out week.html",
        "report usage --since 30d",
        body=make_page,
    )
    page.add_argument("--out", metavar="FILE", help=_("put it there (default: in a private folder)"))
    page.add_argument("--open", action="store_true", help=_("open it with the desktop's browser"))
    page.add_argument(
        "--hours",
        type=positive_int,
        default=DEFAULT_HOURS,
        metavar="N",
        help=_("of so many hours (default 24)"),
    )
    usage_commands.add_tasks(tasks)
