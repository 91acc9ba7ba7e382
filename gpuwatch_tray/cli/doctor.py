"""`doctor`: what works here and what does not, with what mends it; and the report for a bug."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.commands.doctor import run_doctor
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from gpuwatch_tray.cli.branch import CommandGroup


def add_commands(commands: CommandGroup) -> None:
    """Add `doctor`."""
    parser = commands.command(
        "doctor",
        run_doctor,
        _("look at everything that has to work here; what does not comes with its mend"),
        "doctor",
        "doctor --report gpuwatch-report.txt",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help=_("as JSON"))
    output.add_argument("--log", action="store_true", help=_("where the log is, and its last lines"))
    output.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help=_("write a new file for a bug report: all this, no secrets"),
    )
