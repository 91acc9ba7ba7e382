"""`report`: what happened, as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.cli.numbers import number
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.cli.branch import Branch
    from gpuwatch_tray.context import Setup

HOURS = 24


def add(commands: Branch) -> None:
    """Add them."""
    page = commands.command(
        "report",
        _page,
        _("the details page: what happened in the last hours, and who was on which GPU"),
        "report --open",
        "report --hours 168 --out week.html",
    )
    page.add_argument("--out", metavar="FILE", help=_("put it there (default: in a private folder)"))
    page.add_argument("--open", action="store_true", help=_("open it with the desktop's browser"))
    page.add_argument(
        "--hours", type=number, default=HOURS, metavar="N", help=_("of so many hours (default 24)")
    )


def _page(setup: Setup, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import report

    return report.run(setup, out=asked.out, hours=asked.hours, show=asked.open)
