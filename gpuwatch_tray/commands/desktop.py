"""`setup desktop` and `setup service`: the files by which desktop, shell and systemd know the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import desktopfiles
from gpuwatch_tray.autostart import start_command
from gpuwatch_tray.context import Setup, UsageError, WorkError
from gpuwatch_tray.desktopfiles import DesktopFilesError
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from gpuwatch_tray.desktopfiles import GeneratedDocs


def run(setup: Setup, switch: str, papers: GeneratedDocs) -> int:
    """Put the files where the user's desktop finds them (`on`), take them away (`off`), or say (`status`)."""
    if setup.trial and switch == "on":
        raise UsageError(
            _("a demo, or a start with --source auto, is for trying out: it stays out of the menu")
        )
    files = desktopfiles.desktop_files(start_command(), papers)
    place = desktopfiles.user_share_folder()
    try:
        if switch == "on":
            place.install(files)
        elif switch == "off":
            place.remove(files)
    except DesktopFilesError as error:
        raise WorkError(str(error)) from error
    there = place.installed(files)
    if not there and (of_package := desktopfiles.find_system_file(desktopfiles.MENU_ENTRY)) is not None:
        print(_("on for everybody, by a package: {file}").format(file=of_package))
    elif not there:
        print(_("off: the desktop's menu does not have it"))
    elif len(there) < len(files):
        print(_("incomplete: `setup desktop on` writes what is missing"))
    else:
        print(_("on: in the desktop's menu, with its icons, man page and completion"))
    print("\n".join(str(place.folder / name) for name in there), end="\n" if there else "")
    return 0


def print_service() -> int:
    """Print the systemd unit of `watch`."""
    print(desktopfiles.systemd_unit(start_command()), end="")
    return 0
