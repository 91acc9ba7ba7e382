"""`lab`: the other machines, as a table; and the way to them step by step."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.context import RunContext, WorkError
from gpuwatch_tray.cli.base import show, terminal_columns
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.cli.base import CommandGroup


def print_lab(context: RunContext, args: argparse.Namespace) -> int:
    """Print what the running program knows of the lab, else what it says now; 1 where nothing is known."""
    from gpuwatch_tray.app.lab_json import lab_lines
    from gpuwatch_tray.app.lab_operations import lab_now

    context.require_valid_settings()
    answer = _asked(context) or lab_now(context)
    if args.json:
        print(json.dumps(answer, indent=2))
    else:
        show("\n".join(lab_lines(answer, time.time())), hang=2)
    if answer["problem"] is not None:
        raise WorkError(answer["problem"])
    return 0


def _asked(context: RunContext) -> dict[str, Any] | None:
    from gpuwatch_tray.app.tray_client import try_request

    answer = try_request(context, {"do": "lab"})
    return None if answer is None else answer["lab"]


def run_steps(context: RunContext, _args: argparse.Namespace) -> int:
    """Go the way to each machine and print what works and what does not; 1 where something does not."""
    from gpuwatch_tray.app.context import lab_context
    from gpuwatch_tray.app.lab_monitor import read_lab_once
    from gpuwatch_tray.doctor import CheckState
    from gpuwatch_tray.doctor.lab_checks import check_lab, check_way
    from gpuwatch_tray.doctor.output import results_text

    context.require_valid_settings()
    lab = lab_context(context)
    if lab is not None and lab.settings.lab.prometheus:
        results = tuple(check_way(lab.settings.lab, lab.user))
    else:
        results = tuple(check_lab(context.settings.lab, None if lab is None else lambda: read_lab_once(lab)))
    print("\n".join(results_text(results, terminal_columns(sys.stdout))))
    return 1 if any(result.state is CheckState.PROBLEM for result in results) else 0


def add_commands(commands: CommandGroup) -> None:
    """Add `lab` and its tasks."""
    parser, tasks = commands.group(
        "lab", _("list the machines of the lab, and their free GPUs"), "lab", "lab --json", body=print_lab
    )
    parser.add_argument("--json", action="store_true", help=_("as JSON"))
    tasks.command("test", run_steps, _("test the way to each machine"), "lab test")
