"""`report`: the page of what happened, and who used what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.cli.numbers import positive_int
from gpuwatch_tray.commands import usage as usage_commands
from gpuwatch_tray.commands.report import make_page
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from gpuwatch_tray.cli.branch import CommandGroup

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
