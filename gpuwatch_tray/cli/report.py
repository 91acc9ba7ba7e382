"""`report`: what was, and who used what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.cli.numbers import number
from gpuwatch_tray.language import _
from gpuwatch_tray.usage import GroupBy

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.cli.branch import Branch
    from gpuwatch_tray.context import Setup


HOURS = 24


def add(commands: Branch) -> None:
    """Add them."""
    page, tasks = commands.family(
        "report",
        _("the details page: what happened in the last hours, and who was on which GPU"),
        "report --open",
        "report --hours 168 --out week.html",
        "report usage --since 30d",
        run=_page,
    )
    page.add_argument("--out", metavar="FILE", help=_("put it there (default: in a private folder)"))
    page.add_argument("--open", action="store_true", help=_("open it with the desktop's browser"))
    page.add_argument(
        "--hours", type=number, default=HOURS, metavar="N", help=_("of so many hours (default 24)")
    )
    usage = tasks.command(
        "usage",
        _usage,
        _("who used the GPUs: hours, memory, energy and its cost"),
        "report usage --since 30d",
        "report usage --by gpu --json",
    )
    usage.add_argument(
        "--by",
        choices=[by.value for by in GroupBy],
        default=GroupBy.USER.value,
        help=_("of whom (default: user)"),
    )
    _since(usage, "7d")
    _formats(usage, required=False)
    samples = tasks.command(
        "samples", _samples, _("the samples themselves"), "report samples --csv", "report samples --json"
    )
    _since(samples, "2d")
    _formats(samples, required=True)


def _since(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--since",
        metavar="DURATION",
        default=default,
        help=_("of so long until now, 30d at most (default: {default})").format(default=default),
    )


def _formats(parser: argparse.ArgumentParser, *, required: bool) -> None:
    formats = parser.add_mutually_exclusive_group(required=required)
    formats.add_argument("--json", action="store_true", help=_("as JSON"))
    formats.add_argument("--csv", action="store_true", help=_("as CSV"))


def _page(setup: Setup, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import report

    return report.run(setup, out=asked.out, hours=asked.hours, show=asked.open)


def _usage(setup: Setup, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import usage

    return usage.run(setup, GroupBy(asked.by), asked.since, as_json=asked.json, as_csv=asked.csv)


def _samples(setup: Setup, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import export

    return export.run(setup, asked.since, as_json=asked.json)
