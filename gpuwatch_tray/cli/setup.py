"""`setup`: the settings' files, the start at login, and the files for desktop, systemd, man and shells."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gpuwatch_tray.cli.manual import man_page
from gpuwatch_tray.cli.papers import completion_script
from gpuwatch_tray.commands.desktop import print_service, switch_desktop_files
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.cli.branch import CommandGroup
    from gpuwatch_tray.context import RunContext


def add_commands(commands: CommandGroup, top: argparse.ArgumentParser) -> None:
    """Add `setup` and its tasks; man page and completion describe `top`."""
    _parser, tasks = commands.group(
        "setup", _("the settings' files, the start at login"), "setup config", "setup autostart on"
    )
    config = tasks.command(
        "config",
        run_config,
        _("write the three files of settings where there are none, with every key, its meaning and default"),
        "setup config",
        "setup config --check",
    )
    action = config.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help=_("every mistake in them, with file and line"))
    action.add_argument("--path", action="store_true", help=_("where they are, or would be"))

    autostart = tasks.command(
        "autostart",
        switch_autostart,
        _("start the tray at login"),
        "setup autostart on",
        "setup autostart status",
    )
    desktop = tasks.command(
        "desktop",
        partial(switch_desktop_files, top),
        _("in the desktop's menu, with icons, man page and the completion of bash and fish"),
        "setup desktop on",
        "setup desktop off",
    )
    for parser in (autostart, desktop):
        parser.add_argument(
            "switch",
            nargs="?",
            choices=["on", "off", "status"],
            default="status",
            help=_("without one: how it stands"),
        )
    tasks.command(
        "service",
        print_service,
        _("print the systemd unit that runs `watch` on a server without a desktop"),
        "setup service > ~/.config/systemd/user/gpuwatch-tray.service",
    )
    completion = tasks.command(
        "completion",
        partial(print_completion, top),
        _("print the script by which a shell completes the commands"),
        'setup completion zsh > "${fpath[1]}/_gpuwatch-tray"',
    )
    completion.add_argument("shell", choices=["bash", "zsh", "fish"], help=_("which shell"))
    tasks.command(
        "manual", partial(print_man_page, top), _("print the man page"), "setup manual > gpuwatch-tray.1"
    )


def run_config(context: RunContext, args: argparse.Namespace) -> int:
    """Write the settings' files, check them, or print where they are."""
    from gpuwatch_tray.commands.config import check, show_paths, write

    if args.check:
        return check(context)
    return show_paths() if args.path else write()


def switch_autostart(context: RunContext, args: argparse.Namespace) -> int:
    """Switch the start at login, or print how it stands."""
    from gpuwatch_tray.commands.autostart import set_autostart

    return set_autostart(context, args.switch)


def print_completion(top: argparse.ArgumentParser, _context: RunContext, args: argparse.Namespace) -> int:
    """Print a shell's completion script."""
    print(completion_script(top, args.shell), end="")
    return 0


def print_man_page(top: argparse.ArgumentParser, _context: RunContext, _args: argparse.Namespace) -> int:
    """Print the man page."""
    print(man_page(top), end="")
    return 0
