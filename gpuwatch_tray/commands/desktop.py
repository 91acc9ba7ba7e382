"""`setup desktop` and `setup service`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.cli.papers import generate_docs
from gpuwatch_tray.context import UsageError, WorkError
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    import argparse

    from gpuwatch_tray.context import RunContext


def switch_desktop_files(top: argparse.ArgumentParser, context: RunContext, args: argparse.Namespace) -> int:
    """Install the files by which the desktop and the shells know the program, remove them, or list them."""
    from gpuwatch_tray import desktopfiles
    from gpuwatch_tray.autostart import start_command

    if context.trial and args.switch == "on":
        raise UsageError(
            _("a demo, or a start with --source auto, is for trying out: it stays out of the menu")
        )
    files = desktopfiles.desktop_files(start_command(), generate_docs(top))
    place = desktopfiles.user_share_folder()
    try:
        if args.switch == "on":
            place.install(files)
        elif args.switch == "off":
            place.remove(files)
    except desktopfiles.DesktopFilesError as error:
        raise WorkError(str(error)) from error
    installed = place.installed(files)
    if not installed and (packaged := desktopfiles.find_system_file(desktopfiles.MENU_ENTRY)) is not None:
        print(_("on for everybody, by a package: {file}").format(file=packaged))
    elif not installed:
        print(_("off: the desktop's menu does not have it"))
    elif len(installed) < len(files):
        print(_("incomplete: `setup desktop on` writes what is missing"))
    else:
        print(_("on: in the desktop's menu, with its icons, man page and completion"))
    print("\n".join(str(place.folder / name) for name in installed), end="\n" if installed else "")
    return 0


def print_service(_context: RunContext, _args: argparse.Namespace) -> int:
    """Print the systemd unit of `watch`."""
    from gpuwatch_tray import desktopfiles
    from gpuwatch_tray.autostart import start_command

    print(desktopfiles.systemd_unit(start_command()), end="")
    return 0
