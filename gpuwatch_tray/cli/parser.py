"""The parser of the whole command line, put together from the commands."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import __version__
from gpuwatch_tray.app.context import SourceKind
from gpuwatch_tray.cli.base import CommandGroup, epilog
from gpuwatch_tray.cli.docs import SYNOPSIS
from gpuwatch_tray.cli.help import CommandParser, HelpFormatter
from gpuwatch_tray.cli.tray import run_tray
from gpuwatch_tray.i18n import N_, _

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# The commands on the first page of --help; the first section is what a newcomer needs.
SECTIONS = {
    N_("getting started"): ("ps", "watch", "setup", "doctor"),
    N_("alerts and runs"): ("alerts", "when", "runs"),
    N_("the running tray"): ("status", "quit"),
    N_("mail and chat"): ("check", "mail", "chat", "outbox"),
    N_("history"): ("report",),
    N_("many machines"): ("lab", "export"),
}
# The module of each command, in the order of the man page.
MODULES = {
    "ps": "ps",
    "watch": "run",
    "status": "run",
    "quit": "run",
    "doctor": "doctor",
    "alerts": "alerts",
    "when": "when",
    "runs": "runs",
    "check": "check",
    "mail": "mail",
    "chat": "chat",
    "outbox": "chat",
    "report": "report",
    "lab": "lab",
    "export": "export",
    "setup": "setup",
}
_PLAIN_OPTIONS = frozenset({"--demo", "--verbose"})  # of those that may stand before the command
# The texts of argparse that this command line can print, for the catalogue; a text that another version of
# Python words otherwise stays English.
ARGPARSE_TEXTS = (
    N_("usage: "),
    N_("options"),
    N_("show this help message and exit"),
    N_("%(prog)s: error: %(message)s\n"),
    N_("argument %(argument_name)s: %(message)s"),
    N_("the following arguments are required: %s"),
    N_("unrecognized arguments: %s"),
    N_("expected one argument"),
    N_("not allowed with argument %s"),
    N_("invalid choice: %(value)r (choose from %(choices)s)"),
    N_("invalid %(type)s value: %(value)r"),
    N_("ambiguous option: %(option)s could match %(matches)s"),
    N_("ignored explicit argument %r"),
)


def translate_argparse() -> None:
    """Have argparse use our catalogue: it asks the system's, which has none of its texts."""
    vars(argparse).update(_=_)


def modules_for(words: Sequence[str]) -> Iterable[str]:
    """Return the modules of the commands that `words` can be about: to load all takes longer than `ps`."""
    for word in words:
        if word in MODULES:
            return (MODULES[word],)
        if word not in _PLAIN_OPTIONS:
            return dict.fromkeys(MODULES.values())  # --help, which lists them all, or a mistake
    return ()


def import_commands(modules: Iterable[str]) -> list[Any]:
    """Import the modules with these names."""
    return [import_module(f"gpuwatch_tray.cli.{module}") for module in modules]


def build_parser(modules: Iterable[str] = tuple(dict.fromkeys(MODULES.values()))) -> CommandParser:
    """Build the parser of the commands of `modules`; the parsed arguments have `run`, the command's body."""
    translate_argparse()
    top = CommandParser(
        prog="gpuwatch-tray",
        usage=f"gpuwatch-tray {SYNOPSIS}",
        description=_("Watch the NVIDIA GPUs of this machine: without a command, from the tray."),
        epilog=epilog("", "ps", "check --dry-run", "alerts explain"),
        formatter_class=HelpFormatter,
        parents=[
            _common_options(
                _(
                    "nvml: the NVIDIA driver (default); command: the program MYGPU (default where it is set);"
                    " auto: the driver, or simulated GPUs where there is none, for trying out"
                ),
                _("simulated GPUs, labelled as such; sends no mail"),
            )
        ],
    )
    top.sections = SECTIONS
    top.add_argument(
        "--version",
        action="version",
        version=f"gpuwatch-tray {__version__}",
        help=_("show program's version number and exit"),  # argparse does not translate its own
    )
    top.set_defaults(run=run_tray)
    common = _common_options(_("where the readings come from"), _("simulated GPUs"))
    commands = CommandGroup(top.add_subparsers(dest="command", metavar="COMMAND", prog=top.prog), common)
    for module in import_commands(modules):
        module.add_commands(commands)
    return top


def _common_options(source: str, demo: str) -> argparse.ArgumentParser:
    """Return a parent with the options of every command; --help explains the first two so."""
    common = argparse.ArgumentParser(
        add_help=False, argument_default=argparse.SUPPRESS, formatter_class=HelpFormatter
    )
    common.add_argument(
        "--source",
        choices=[kind.value for kind in SourceKind if kind is not SourceKind.DEMO],
        help=source,
    )
    common.add_argument("--demo", action="store_true", help=demo)
    common.add_argument("--verbose", action="store_true", help=_("log every decision to standard error"))
    return common


def parse_words(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; what follows `--` after `when free` is the command to run, options and all."""
    parser = build_parser(modules_for(words))
    place = words.index("--") if "--" in words else len(words)
    if not {"when", "free"} <= set(words[:place]):
        return parser.parse_args(words)
    args = parser.parse_args(words[:place])
    args.argv = list(words[place + 1 :])
    return args
