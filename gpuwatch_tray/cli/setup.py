"""`setup`: the settings' files, and the program's place on the desktop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import _

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.cli.branch import Branch
    from gpuwatch_tray.context import RunContext


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
    desktop = tasks.command(
        "desktop",
        _desktop,
        _("in the desktop's menu, with icons, man page and the completion of bash and fish"),
        "setup desktop on",
        "setup desktop off",
    )
    desktop.add_argument(
        "switch",
        nargs="?",
        choices=["on", "off", "status"],
        default="status",
        help=_("without one: how it stands"),
    )
    tasks.command(
        "service",
        _service,
        _("print the systemd unit that runs `watch` on a server without a desktop"),
        "setup service > ~/.config/systemd/user/gpuwatch-tray.service",
    )
    completion = tasks.command(
        "completion",
        _completion,
        _("print the script by which a shell completes the commands"),
        'setup completion zsh > "${fpath[1]}/_gpuwatch-tray"',
    )
    completion.add_argument("shell", choices=["bash", "zsh", "fish"], help=_("which shell"))
    tasks.command("manual", _manual, _("print the man page"), "setup manual > gpuwatch-tray.1")


def _config(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import config

    if asked.check:
        return config.check(setup)
    return config.show_paths() if asked.path else config.write()


def _autostart(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import autostart

    return autostart.run(setup, asked.switch)


def _desktop(setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.cli import papers
    from gpuwatch_tray.commands import desktop

    return desktop.run(setup, asked.switch, papers.papers())


def _service(_setup: RunContext, _asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import desktop

    return desktop.print_service()


def _completion(_setup: RunContext, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.cli import papers

    print(papers.completion(asked.shell), end="")
    return 0


def _manual(_setup: RunContext, _asked: argparse.Namespace) -> int:
    from gpuwatch_tray.cli import papers

    print(papers.man_page(), end="")
    return 0
