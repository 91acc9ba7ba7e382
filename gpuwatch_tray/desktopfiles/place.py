"""The user's own share folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class DesktopFilesError(Exception):
    """A file cannot be written or removed; the text names it in one line."""


class ShareFolder:
    """A share folder in which only our files are touched; methods raise DesktopFilesError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, files: Mapping[str, bytes]) -> None:
        """Write the files and the folders that they need."""
        with self._os_errors():
            for name, data in files.items():
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            self._refresh_icon_theme()

    def remove(self, names: Iterable[str]) -> None:
        """Delete the files, and the folders that are empty then."""
        with self._os_errors():
            for name in names:
                path = self.folder / name
                path.unlink(missing_ok=True)
                for folder in path.relative_to(self.folder).parents:
                    if folder != Path():
                        with contextlib.suppress(OSError):  # it holds others' files
                            (self.folder / folder).rmdir()
            self._refresh_icon_theme()

    def installed(self, names: Iterable[str]) -> list[str]:
        """Return those of the files that are there."""
        return [name for name in names if (self.folder / name).is_file()]

    def _refresh_icon_theme(self) -> None:
        """Make desktops read the icon theme again: they go by its folder's date."""
        theme = self.folder / "icons/hicolor"
        if theme.is_dir():
            os.utime(theme)

    @contextlib.contextmanager
    def _os_errors(self) -> Iterator[None]:
        if not self.folder.is_absolute():
            raise DesktopFilesError(_("this account has no home folder for them"))
        try:
            yield
        except OSError as error:
            raise DesktopFilesError(f"{error.filename}: {error.strerror}") from error


def find_system_file(name: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the path at which a package has put this file for all users (XDG_DATA_DIRS), if any."""
    folders = (environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    paths = (Path(folder) / name for folder in folders)
    return next((path for path in paths if path.is_absolute() and path.is_file()), None)


def user_share_folder(environ: Mapping[str, str] = os.environ) -> ShareFolder:
    """Return the user's share folder: XDG_DATA_HOME, by default ~/.local/share."""
    named = Path(environ.get("XDG_DATA_HOME", ""))
    if named.is_absolute():
        return ShareFolder(named)
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111  # raises nothing
    return ShareFolder(Path(home) / ".local/share")
