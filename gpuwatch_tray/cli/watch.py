"""`watch`, and what runs without a command: the tray."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.app.bootstrap import RunContext
    from gpuwatch_tray.cli.base import CommandGroup


def add_commands(commands: CommandGroup) -> None:
    """Add `watch`."""
    commands.command("watch", run_watch, _("the loop without a tray"), "watch --verbose")


# Late imports: each command loads only what it needs, `ps` no tray and the tray no mail.


def run_tray(context: RunContext, _args: argparse.Namespace) -> int:
    """Run the tray, or without a desktop the loop in the terminal."""
    from gpuwatch_tray.app import tray_app

    return tray_app.run(context)


def run_watch(context: RunContext, _args: argparse.Namespace) -> int:
    """Run `watch`."""
    from gpuwatch_tray.app import headless

    return headless.run(context)
