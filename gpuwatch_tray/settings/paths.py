"""Where the files and the state are, by the folders that the system names."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

import gpuwatch_tray
from gpuwatch_tray.common.user_folders import config_folder, log_folder, state_folder
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model.schema import LAB, NOTIFY, SMTP, WATCH_FILE
from gpuwatch_tray.model.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


# The files and the variables that name others, in the order of Bash's sourcing.
FILES = (
    (WATCH_FILE, "GPUWATCH_CONFIG"),
    (NOTIFY, "GPUWATCH_NOTIFY_CONFIG"),
    (SMTP, "GPUWATCH_SMTP_CONFIG"),
    (LAB, "GPUWATCH_LAB_CONFIG"),
)
LARGEST_FILE = MIB  # bytes
_OTHERS_READ = stat.S_IRGRP | stat.S_IROTH
Stamp: TypeAlias = tuple[int, ...] | None  # None: there is no such file


class SettingsFolders(Struct, frozen=True):
    """The folders of this installation and user. `checkout` is None in an installed one."""

    checkout: Path | None
    config: Path
    state: Path
    home: str
    log: Path


def settings_folders() -> SettingsFolders:
    """Return those of this installation and account."""
    above = Path(gpuwatch_tray.__file__).resolve().parent.parent
    in_checkout = (above / "pyproject.toml").is_file() and (above / "config").is_dir()
    return SettingsFolders(
        checkout=above if in_checkout else None,
        config=Path(config_folder()),
        state=Path(state_folder()),
        log=Path(log_folder()),
        home=os.path.expanduser("~"),  # noqa: PTH111  # Path.home() raises for an account without a folder
    )


class SourceFile(Struct, frozen=True):
    """One of the files, or the place for it."""

    path: Path
    shown: str  # the name to show
    data: bytes = b""  # empty where there is none
    problem: str = ""  # why an existing or named file could not be read
    exposed: bool = False  # others may read it
    found: bool = True


def find(name: str, variable: str, environ: Mapping[str, str], folders: SettingsFolders) -> SourceFile:
    """Find the file that `variable` names, which must be there, else the checkout's or the user's."""
    named = environ.get(variable, "")
    if named:
        path = absolute(named, environ, folders)
        return read_file(path, named) or SourceFile(
            path,
            named,
            problem=_("there is no such file: correct or unset {variable}").format(variable=variable),
        )
    places = _candidates(name, folders)
    for path in places:
        if (file := read_file(path, _shown(path, folders))) is not None:
            return file
    missing = places[-1] if places else folders.config / name  # where `setup config` writes it
    return SourceFile(missing, _shown(missing, folders), found=False)


def files_to_check(environ: Mapping[str, str], folders: SettingsFolders) -> tuple[Path, ...]:
    """Return every place at which one of them may be."""
    found: list[Path] = []
    for name, variable in FILES:
        named = environ.get(variable)
        found += [absolute(named, environ, folders)] if named else _candidates(name, folders)
    return tuple(found)


def stamps(files: Iterable[Path]) -> tuple[Stamp, ...]:
    """Return what differs once any of these files has changed, come or gone; opens none."""
    return tuple(map(stamp, files))


def stamp(path: Path) -> Stamp:
    """Return what differs once this file has changed, come or gone."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode


def _candidates(name: str, folders: SettingsFolders) -> list[Path]:
    """Return where a file that no variable names may be, the first place first."""
    places = [folders.config]
    if folders.checkout is not None:
        places.insert(0, folders.checkout / "config")
    return [place / name for place in places if place.is_absolute()]


def absolute(text: str, environ: Mapping[str, str], folders: SettingsFolders) -> Path:
    """Return the path that a variable names: relative to the current folder, `~` as the home folder."""
    home = environ.get("HOME") or folders.home
    if text == "~" or text.startswith(("~/", f"~{os.sep}")):
        text = home + text[1:]
    return Path(text).absolute()


def exposed(path: Path) -> bool:
    """Tell whether others than its owner may read this file; not where it is missing."""
    try:
        return os.name == "posix" and bool(path.stat().st_mode & _OTHERS_READ)
    except (OSError, ValueError):
        return False


def exposed_warning(key: str, file: Path) -> str:
    """Say that others can read the file that `key` names, and how to change that."""
    text = _("{key}: others can read {file}: {mend}")
    return text.format(key=key, file=file, mend=f"chmod 600 {quote(str(file))}")


def _shown(path: Path, folders: SettingsFolders) -> str:
    if folders.checkout is not None and path.is_relative_to(folders.checkout):
        return path.relative_to(folders.checkout).as_posix()
    return str(path)


def read_file(path: Path, shown: str) -> SourceFile | None:
    """Read a file that may be missing (None), or be no plain file: then its `problem` says so."""
    if str(path) == os.devnull:  # said in a variable: no such file at all
        return SourceFile(path, shown)
    try:
        # Not opened before it is known to be plain: a pipe would make us wait.
        if stat.S_ISDIR(path.stat().st_mode):
            return SourceFile(path, shown, problem=_("is a folder: give the file in it"))
        if not path.is_file():
            return SourceFile(path, shown, problem=_("is not a regular file"))
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(LARGEST_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return SourceFile(path, shown, problem=_("is a broken link")) if path.is_symlink() else None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return SourceFile(path, shown, problem=_("cannot be read: {reason}").format(reason=reason))
    if len(data) > LARGEST_FILE:
        return SourceFile(path, shown, problem=_("larger than 1 MiB: this is not a settings file"))
    return SourceFile(path, shown, data, exposed=os.name == "posix" and bool(mode & _OTHERS_READ))
