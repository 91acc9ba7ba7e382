"""The parser of the whole command line, put together from the commands."""

from __future__ import annotations

import argparse

from gpuwatch_tray import __version__
from gpuwatch_tray.cli import alerts, doctor, mail, report, setup, watching, when
from gpuwatch_tray.cli.branch import CommandGroup, epilog
from gpuwatch_tray.cli.wording import translate_argparse
from gpuwatch_tray.commands import check, ps, status
from gpuwatch_tray.context import SourceKind
from gpuwatch_tray.language import _


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of every command; the parsed arguments have `run`, the command's body."""
    translate_argparse()
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument(
        "--source",
        choices=[kind.value for kind in SourceKind if kind is not SourceKind.DEMO],
        help=_(
            "nvml: the NVIDIA driver (default); command: the program MYGPU (default where it is set);"
            " auto: the driver, or simulated GPUs where there is none, for trying out"
        ),
    )
    common.add_argument("--demo", action="store_true", help=_("simulated GPUs, labelled so; mails nowhere"))
    common.add_argument("--verbose", action="store_true", help=_("log every decision to standard error"))
    top = argparse.ArgumentParser(
        prog="gpuwatch-tray",
        description=_("Watch the NVIDIA GPUs of this machine: without a command, from the tray."),
        epilog=epilog("", "ps", "check --dry-run", "alerts explain"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    top.add_argument(
        "--version",
        action="version",
        version=f"gpuwatch-tray {__version__}",
        help=_("show program's version number and exit"),  # argparse does not translate its own
    )
    top.set_defaults(run=watching.run_tray)
    commands = CommandGroup(top.add_subparsers(dest="command", metavar="COMMAND"), common)
    for module in (ps, check, watching, status, alerts, when, report, mail):
        module.add_commands(commands)
    setup.add_commands(commands, top)
    doctor.add_commands(commands)
    return top
