"""`doctor`: what is right here and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.cli.branch import Branch
    from gpuwatch_tray.context import RunContext


def add(commands: Branch) -> None:
    """Add it."""
    doctor = commands.command(
        "doctor",
        _doctor,
        _("look at everything that has to work here; what does not comes with its mend"),
        "doctor",
        "doctor --report gpuwatch-report.txt",
    )
    what = doctor.add_mutually_exclusive_group()
    what.add_argument("--json", action="store_true", help=_("as JSON"))
    what.add_argument("--log", action="store_true", help=_("where the log is, and its last lines"))
    what.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help=_("write a new file for a bug report: all this, no secrets"),
    )


def _doctor(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import doctor

    if asked.log:
        return doctor.show_log(setup)
    if asked.report is not None:
        return doctor.report(setup, asked.report)
    return doctor.run(setup, as_json=asked.json)
