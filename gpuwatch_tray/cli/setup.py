"""`setup`: the settings' files, and the program's place on the desktop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import _

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.cli.branch import Branch
    from gpuwatch_tray.context import Setup


def add(commands: Branch) -> None:
    """Add them."""
    _setup, tasks = commands.family(
        "setup", _("the settings' files, the start at login"), "setup config", "setup autostart on"
    )
    config = tasks.command(
        "config",
        _config,
        _("write the three files of settings where there are none, with every key, its meaning and default"),
        "setup config",
        "setup config --check",
    )
    what = config.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help=_("every mistake in them, with file and line"))
    what.add_argument("--path", action="store_true", help=_("where they are, or would be"))

    autostart = tasks.command(
        "autostart", _autostart, _("start the tray at login"), "setup autostart on", "setup autostart status"
    )
    autostart.add_argument(
        "switch",
        nargs="?",
        choices=["on", "off", "status"],
        default="status",
        help=_("without one: how it stands"),
    )


def _config(setup: Setup, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import config

    if asked.check:
        return config.check(setup)
    return config.show_paths() if asked.path else config.write()


def _autostart(setup: Setup, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import autostart

    return autostart.run(setup, asked.switch)
