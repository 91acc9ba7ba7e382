"""`setup`: the settings' files, the start at login, and the files for desktop, systemd, man and shells."""

from __future__ import annotations

import argparse
import os
import re
from typing import TYPE_CHECKING

from gpuwatch_tray.app.bootstrap import write_missing_settings
from gpuwatch_tray.app.context import RunContext, UsageError, WorkError
from gpuwatch_tray.cli.docs import completion_script, generate_docs, man_page
from gpuwatch_tray.cli.printing import show, warn
from gpuwatch_tray.i18n import _
from gpuwatch_tray.settings import template

if TYPE_CHECKING:
    from gpuwatch_tray.cli.base import CommandGroup


STALE_FILE = 60.0  # seconds: a file for node_exporter is written every 15, and Prometheus reads it later
_TARGET = re.compile(r"[\w.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?|[0-9A-Fa-f:]+")


def switch_desktop_files(context: RunContext, args: argparse.Namespace) -> int:
    """Install the files by which the desktop and the shells know the program, remove them, or list them."""
    from gpuwatch_tray.desktop import entries
    from gpuwatch_tray.desktop.autostart import start_command

    if context.trial and args.switch == "on":
        raise UsageError(_("a demo or --source auto is only for trying out: it is not added to the menu"))
    files = entries.desktop_files(start_command(), generate_docs(_whole_parser()))
    place = entries.user_share_folder()
    try:
        if args.switch == "on":
            place.install(files)
        elif args.switch == "off":
            place.remove(files)
    except entries.DesktopFilesError as error:
        raise WorkError(str(error)) from error
    installed = place.installed(files)
    if not installed and (packaged := entries.find_system_file(entries.MENU_ENTRY)) is not None:
        print(_("on for all users, by a package: {file}").format(file=packaged))
    elif not installed:
        print(_("off: not in the desktop's menu"))
    elif len(installed) < len(files):
        print(_("incomplete: `setup desktop on` writes what is missing"))
    else:
        print(_("on: in the desktop's menu, with its icons, man page and completion"))
    print("\n".join(str(place.folder / name) for name in installed), end="\n" if installed else "")
    return 0


def print_service(_context: RunContext, _args: argparse.Namespace) -> int:
    """Print the systemd unit of `watch`."""
    from gpuwatch_tray.desktop import entries
    from gpuwatch_tray.desktop.autostart import start_command

    print(entries.systemd_unit(start_command()), end="")
    return 0


def _whole_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands, which man page and completion describe."""
    from gpuwatch_tray.cli.parser import build_parser

    return build_parser()


def add_commands(commands: CommandGroup) -> None:
    """Add `setup` and its tasks."""
    _parser, tasks = commands.group(
        "setup", _("set up email, settings files, start at login"), "setup mail", "setup autostart on"
    )
    config = tasks.command(
        "config",
        run_config,
        _("write the settings files that are missing, with every key explained"),
        "setup config",
        "setup config --check",
    )
    action = config.add_mutually_exclusive_group()
    action.add_argument(
        "--check", action="store_true", help=_("check them, and show every mistake with file and line")
    )
    action.add_argument("--path", action="store_true", help=_("print where they are, or would be"))

    tasks.command(
        "mail",
        run_mail_setup,
        _("ask for address, server and password, try them, and send a test mail"),
        "setup mail",
    )
    tasks.command(
        "chat",
        run_chat_setup,
        _("ask for the address of a chat or phone, send a test message, and write it"),
        "setup chat",
    )
    autostart = tasks.command(
        "autostart",
        switch_autostart,
        _("start the tray at login"),
        "setup autostart on",
        "setup autostart status",
    )
    desktop = tasks.command(
        "desktop",
        switch_desktop_files,
        _("add the tray to the desktop's menu, with icons, man page and completion"),
        "setup desktop on",
        "setup desktop off",
    )
    for parser in (autostart, desktop):
        parser.add_argument(
            "switch",
            nargs="?",
            choices=["on", "off", "status"],
            default="status",
            help=_("without it, show the state"),
        )
    tasks.command(
        "service",
        print_service,
        _("print a systemd unit that runs `watch` on a server"),
        "setup service > ~/.config/systemd/user/gpuwatch-tray.service",
    )
    prometheus = tasks.command(
        "prometheus",
        print_prometheus,
        _("print what a Prometheus needs, to ask machines that run `export`"),
        "setup prometheus gpu1 gpu2 > prometheus.yml",
        "setup prometheus --rules > gpuwatch.rules.yml",
    )
    prometheus.add_argument(
        "hosts", nargs="*", type=prometheus_target, metavar="HOST", help=_("the machines; else LAB_HOSTS")
    )
    prometheus.add_argument(
        "--rules", action="store_true", help=_("the alerting rules, with the limits of these settings")
    )
    completion = tasks.command(
        "completion",
        print_completion,
        _("print the completion script of a shell"),
        'setup completion zsh > "${fpath[1]}/_gpuwatch-tray"',
    )
    completion.add_argument("shell", choices=["bash", "zsh", "fish"], help=_("which shell"))
    tasks.command("manual", print_man_page, _("print the man page"), "setup manual > gpuwatch-tray.1")


def run_config(context: RunContext, args: argparse.Namespace) -> int:
    """Write the settings' files that are missing, check them all, or print where they are."""
    if args.check:
        return check(context)
    written = () if args.path else write_missing_settings()
    for place in template.files(os.environ):
        if args.path:
            notes = [
                *([] if place.exists else [_("not there")]),
                *([_("set by {variable}").format(variable=place.named)] if place.named else []),
            ]
            print(f"{place.path}" + (f"  ({', '.join(notes)})" if notes else ""))
        else:
            text = _("written: {file}") if place.path in written else _("already there: {file}")
            print(text.format(file=place.path))
    return 0


def run_mail_setup(context: RunContext, args: argparse.Namespace) -> int:
    """Ask for what mail needs, and try it."""
    from gpuwatch_tray.cli.setup_mail import set_up_mail

    return set_up_mail(context, args)


def run_chat_setup(context: RunContext, args: argparse.Namespace) -> int:
    """Ask for the address of a chat, and try it."""
    from gpuwatch_tray.cli.setup_chat import set_up_chat

    return set_up_chat(context, args)


def switch_autostart(context: RunContext, args: argparse.Namespace) -> int:
    """Switch the start at login, or print how it stands."""
    from gpuwatch_tray.app.login_item import set_autostart

    return set_autostart(context, args.switch)


def prometheus_target(text: str) -> str:
    """Parse a machine's name or address, with a port or without."""
    if not _TARGET.fullmatch(text):
        raise argparse.ArgumentTypeError(_("expected the name of a machine, got {text!r}").format(text=text))
    return text


def print_prometheus(context: RunContext, args: argparse.Namespace) -> int:
    """Print a Prometheus's scrape configuration, or its alerting rules."""
    from gpuwatch_tray.export import prometheus_files

    context.require_valid_settings()
    lab, limits = context.settings.lab, context.settings.limits
    if args.rules:
        if args.hosts:
            raise UsageError(_("--rules takes no machines: the rules are about all of them"))
        rules = prometheus_files.list_rules(
            lab.job,
            stale=max(context.stale_after, STALE_FILE),
            gpu_limit=limits.gpu_limit,
            max_etime=limits.max_etime,
            lab_gpu_limit=lab.gpu_limit,
        )
        print(prometheus_files.rules_text(rules), end="")
    else:
        hosts = args.hosts or [name.rpartition("@")[2] for name in lab.hosts] or ["localhost"]
        print(prometheus_files.scrape_configuration(lab.job, hosts), end="")
    return 0


def print_completion(_context: RunContext, args: argparse.Namespace) -> int:
    """Print a shell's completion script."""
    print(completion_script(_whole_parser(), args.shell), end="")
    return 0


def print_man_page(_context: RunContext, _args: argparse.Namespace) -> int:
    """Print the man page."""
    print(man_page(_whole_parser()), end="")
    return 0


def check(context: RunContext) -> int:
    """Raise UsageError with every mistake in them; else say so, and how mail stands. Raises WorkError."""
    from gpuwatch_tray.doctor.mail_checks import mail_trouble

    warn(context)
    if context.problems:
        context.require_recipient()  # as `check` and `mail test` do
    print(_("no mistakes in the settings"))
    if not context.settings.to_email:
        show(_("Email is off: {why}").format(why=context.settings.no_recipient))
        if not context.settings.chats:
            show(_("`gpuwatch-tray check` and `gpuwatch-tray mail test` do nothing without an address."))
    elif trouble := mail_trouble(context.settings):
        raise WorkError(trouble)
    return 0
