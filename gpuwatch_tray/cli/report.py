"""`report`: the page of what happened; its tasks are in `report_usage` and `report_samples`."""

from __future__ import annotations

import gc
import logging
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.context import SourceKind, UsageError, WorkError
from gpuwatch_tray.cli.base import positive_int
from gpuwatch_tray.cli.report_samples import print_samples
from gpuwatch_tray.cli.report_usage import print_usage, usage_json
from gpuwatch_tray.common import host
from gpuwatch_tray.history.sample_reader import UseDetail
from gpuwatch_tray.history.usage import GroupBy, usage
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import TEN_MINUTES
from gpuwatch_tray.model.units import HOUR, MINUTE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.cli.base import CommandGroup


log = logging.getLogger(__name__)

MOST_HOURS = 30 * 24  # samples are kept so long


def make_page(context: RunContext, args: argparse.Namespace) -> int:
    """Make the page of the last hours, print its file's name, and open it with --open."""
    from gpuwatch_tray.app.history_query import read_history
    from gpuwatch_tray.app.report_page import page_file, write_page
    from gpuwatch_tray.common.private import make_private, make_private_folder
    from gpuwatch_tray.desktop import launcher
    from gpuwatch_tray.report import document

    if args.hours > MOST_HOURS:
        text = _("--hours: expected at most {most}, the 30 days that are kept, got {hours}")
        raise UsageError(text.format(most=MOST_HOURS, hours=args.hours))
    if not args.out and args.out is not None:
        raise UsageError(_("--out: expected a file's name, or - for standard output"))
    if args.out == "-" and args.open:
        raise UsageError(_("--out - and --open cannot be used together"))
    # A month is half a million small objects without cycles: the collector would take half of the time, and
    # this process ends right after.
    gc.disable()
    details = _request(context, {"do": "details"})
    folder = Path(details["state"]) if details else context.settings.state
    file = Path(args.out) if args.out is not None else page_file(folder, context.state_name, os.environ)
    try:
        if args.out is None:
            make_private_folder(file.parent)
            make_private(file.parent)
    except OSError as error:
        raise WorkError(f"{file}: {error.strerror or error}") from error
    # A page to keep follows nothing.
    follows = bool(details) and args.open and args.out is None
    feed = _request(context, {"do": "follow", "folder": str(file.parent.absolute())}) if follows else {}
    now = host.now().wall
    start = now - args.hours * HOUR
    finest = MINUTE if document.step(start, now) < TEN_MINUTES else TEN_MINUTES
    history = read_history(context, start, now, finest=finest, processes=UseDetail.SUMMED)
    page = document.PageContext(
        context.host,
        now,
        simulated=context.simulated,
        live=details.get("status"),
        present=frozenset(details.get("present", ())),
        commands=dict(details.get("commands", ())),
        warn_at=context.settings.limits.heat.warn_at,
        usage=usage_json(usage(history, GroupBy.USER), history, context.settings.energy_price),
        lab=_request(context, {"do": "lab"}).get("lab") if details else None,
        links=context.settings.lab.links,
        feed=document.Feed(feed["file"], secrets.token_urlsafe(16)) if feed else None,
        called=host.called_as(),
        options=_options(context),
    )
    if args.out == "-":
        sys.stdout.write(document.html(history, page))
        return 0
    try:
        write_page(file, document.html(history, page))
    except OSError as error:
        raise WorkError(f"{file}: {error.strerror or error}") from error
    print(file)
    if args.open:
        try:
            launcher.open_page(file)
        except launcher.OpeningError as error:
            raise WorkError(str(error)) from error
    return 0


def _options(context: RunContext) -> str:
    """Return the options by which a command in a terminal asks the same program as this one."""
    if context.simulated:
        return " --demo"
    usual = SourceKind.COMMAND if context.settings.mygpu else SourceKind.NVML
    return "" if context.source is usual else f" --source {context.source.value}"


def _request(context: RunContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the running program's answer; empty where nothing runs, or an older version does."""
    from gpuwatch_tray.app.tray_client import try_request

    try:
        return try_request(context, request) or {}
    except WorkError as error:
        log.warning("%s", error)
        return {}


def _add_since(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--since",
        metavar="DURATION",
        default=default,
        help=_("how far back to look, 30d at most (default: {default})").format(default=default),
    )


def _add_formats(parser: argparse.ArgumentParser, *, required: bool) -> None:
    formats = parser.add_mutually_exclusive_group(required=required)
    formats.add_argument("--json", action="store_true", help=_("as JSON"))
    formats.add_argument("--csv", action="store_true", help=_("as CSV"))


def add_commands(commands: CommandGroup) -> None:
    """Add `report` and its tasks."""
    page, tasks = commands.group(
        "report",
        _("make the page of the last hours; show who used the GPUs"),
        "report --open",
        "report --hours 168 --out week.html",
        "report usage --since 30d",
        body=make_page,
    )
    page.add_argument("--out", metavar="FILE", help=_("write the page to this file, - is standard output"))
    page.add_argument("--open", action="store_true", help=_("open the page in the browser"))
    page.add_argument(
        "--hours",
        type=positive_int,
        default=24,
        metavar="N",
        help=_("how many hours to show (default 24)"),
    )
    parser = tasks.command(
        "usage",
        print_usage,
        _("who used the GPUs: hours, memory, energy and its cost"),
        "report usage --since 30d",
        "report usage --by gpu --json",
    )
    parser.add_argument(
        "--by",
        choices=[by.value for by in GroupBy],
        default=GroupBy.USER.value,
        help=_("one row for each of these (default: user)"),
    )
    _add_since(parser, "7d")
    _add_formats(parser, required=False)
    parser = tasks.command(
        "samples",
        print_samples,
        _("export the recorded samples"),
        "report samples --csv",
        "report samples --json",
    )
    _add_since(parser, "2d")
    _add_formats(parser, required=True)
