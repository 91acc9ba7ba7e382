"""
The folders of this program among those that a user has for each kind of files.

On Linux by the XDG Base Directory Specification, elsewhere as platformdirs knows them, which takes 5 ms to
load with all that it imports, a tenth of a short command. All are texts, as pathlib takes long to load, too.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # the typing module takes longer than all of this one
if TYPE_CHECKING:
    from collections.abc import Mapping


NAME = "gpuwatch-tray"


def config_folder(environ: Mapping[str, str] = os.environ) -> str:
    """Return the folder for settings; below a relative `~` for an account without a home, as are all."""
    return _folder("config", "XDG_CONFIG_HOME", ".config", environ)


def state_folder(environ: Mapping[str, str] = os.environ) -> str:
    """Return the folder for what lasts between two runs."""
    return _folder("state", "XDG_STATE_HOME", ".local/state", environ)


def log_folder(environ: Mapping[str, str] = os.environ) -> str:
    """Return the folder for logs."""
    if sys.platform == "linux":
        folder = os.path.join(state_folder(environ), "log")
    else:
        folder = _folder("log", "", ".local/state", environ)
    return folder


def runtime_folders(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the possible folders for what ends with the session, best first; some may not be there."""
    if sys.platform == "linux":
        bases = environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.getuid()}"
        folders = tuple(os.path.join(base, NAME) for base in bases if os.path.isabs(base))
    else:
        from platformdirs import user_runtime_dir

        folders = (user_runtime_dir(NAME, appauthor=False),)
    return folders


def _folder(kind: str, variable: str, below_home: str, environ: Mapping[str, str]) -> str:
    if sys.platform == "linux":
        base = environ.get(variable, "")
        if not os.path.isabs(base):  # the specification has a relative one ignored
            base = os.path.join(_home(environ), below_home)
        folder = os.path.join(base, NAME)
    else:
        import platformdirs

        try:
            folder = str(getattr(platformdirs, f"user_{kind}_dir")(NAME, appauthor=False))
        except RuntimeError:  # no home folder
            folder = os.path.join("~", below_home, NAME)
    return folder


def _home(environ: Mapping[str, str]) -> str:
    """Return the user's home folder, by HOME or as the system has it; `~` where there is none."""
    home = environ.get("HOME", "")
    if sys.platform != "win32" and not os.path.isabs(home):
        import pwd

        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            home = "~"
    return home
