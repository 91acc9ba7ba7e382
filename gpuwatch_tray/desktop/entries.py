"""The files below a `share` folder, the user's own or a package's, and the Desktop Entry format."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray import drawing
from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


GROUP = "[Desktop Entry]"
# "The Exec key": a word with one of these stands in double quotes, with some escaped; `%` is doubled.
_RESERVED = late_pattern(r"[\s\"'\\><~|&;$*?#()`]")
_IN_QUOTES = late_pattern(r"([\"`$\\])")
# GLib looks for the program before it reads `%%` as `%`, and starts nothing (g_desktop_app_info_load).
_ENV = ["/usr/bin/env"]
_WORD = late_pattern(r'"((?:[^"\\]|\\.)*)"|([^\s"]+)', re.DOTALL)
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"})
_ESCAPE = late_pattern(r"\\(.)")
_ESCAPED = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def format_desktop_entry(values: Mapping[str, str]) -> str:
    """Return the text of an entry with these keys in order; the values are unescaped."""
    return "\n".join([GROUP, *(f"{key}={_escape(value)}" for key, value in values.items()), ""])


def format_exec(words: Sequence[str]) -> str:
    """Return the value of `Exec` that starts this program with these arguments."""
    return " ".join(map(_quote, words))


def program_keys(words: Sequence[str]) -> dict[str, str]:
    """Return `Exec`, and `TryExec`, by which desktops hide an entry whose program is gone."""
    line = format_exec([*(_ENV if "%" in words[0] else ()), *words])
    return {"Exec": line, "TryExec": words[0]}


def parse_exec(command: str) -> list[str]:
    """Return the program and its arguments; field codes such as `%u`, of which ours has none, stay."""
    words = [
        re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match[2] is None else match[2]
        for match in _WORD.finditer(command)
    ]
    words = [word.replace("%%", "%") for word in words]
    return words[len(_ENV) :] if words[: len(_ENV)] == _ENV else words


def parse_desktop_entry(text: str) -> dict[str, str]:
    """Return the main group's keys, unescaped; the last of equal keys counts, as for GLib."""
    values, inside = {}, False
    for line in text.split("\n"):
        if line.startswith("["):
            inside = line.strip() == GROUP
        elif inside and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            values[key.strip()] = _ESCAPE.sub(lambda c: _ESCAPED.get(c[1], c[0]), value.strip())
    return values


def update_desktop_entry(text: str, values: Mapping[str, str]) -> str:
    """Return the entry with these keys set, and every other line unchanged."""
    lines, left, inside = [], dict(values), False
    for line in text.split("\n"):
        if line.startswith("["):
            inside = line.strip() == GROUP
        key = line.partition("=")[0].strip()
        if not inside or key not in values:
            lines.append(line)
        elif key in left:
            lines.append(f"{key}={_escape(left.pop(key))}")
    place = next((at for at, line in enumerate(lines) if line.strip() == GROUP), len(lines) - 1) + 1
    lines[place:place] = [f"{key}={_escape(value)}" for key, value in left.items()]
    return "\n".join(lines)


def _quote(word: str) -> str:
    word = word.replace("%", "%%")
    if word and not _RESERVED.search(word):
        return word
    return '"' + _IN_QUOTES.sub(r"\\\1", word) + '"'


def _escape(value: str) -> str:
    return value.translate(_ESCAPES)


NAME = "gpuwatch-tray"
# Our popups give this name as `desktop-entry`, so that a desktop knows whose they are.
MENU_ENTRY = f"applications/{NAME}.desktop"
METAINFO = "io.github.gpuwatch_tray.metainfo.xml"


class GeneratedDocs(Struct, frozen=True):
    """The man page and two shells' completions, generated from the command line's help."""

    manual: str
    bash: str
    fish: str


def desktop_files(command: Sequence[str], docs: GeneratedDocs) -> dict[str, bytes]:
    """Return each file's bytes by its path below the folder; the menu entry starts `command`."""
    icons = drawing.icons_folder()
    theme = "icons/hicolor"
    return {
        MENU_ENTRY: menu_entry(command).encode(),
        f"metainfo/{METAINFO}": (Path(__file__).parent / METAINFO).read_bytes(),
        **{
            f"{theme}/{size}x{size}/apps/{NAME}.png": drawing.icon_path(Level.OK, size).read_bytes()
            for size in drawing.SIZES
        },
        f"{theme}/scalable/apps/{NAME}.svg": (icons / "ok.svg").read_bytes(),
        f"{theme}/symbolic/apps/{NAME}-symbolic.svg": (icons / "ok-symbolic.svg").read_bytes(),
        f"man/man1/{NAME}.1": docs.manual.encode(),
        f"bash-completion/completions/{NAME}": docs.bash.encode(),
        f"fish/vendor_completions.d/{NAME}.fish": docs.fish.encode(),
    }


def menu_entry(command: Sequence[str]) -> str:
    """Return the menu entry's text."""
    return format_desktop_entry(
        {
            "Type": "Application",
            "Name": NAME,
            "GenericName": "GPU Monitor",
            "GenericName[zh_CN]": "GPU 监控器",
            "Comment": "Watch the NVIDIA GPUs of this machine from the tray",
            "Comment[zh_CN]": "在托盘中监控本机的 NVIDIA GPU",
            **program_keys(command),
            "Icon": NAME,
            "Terminal": "false",
            "StartupNotify": "false",
            "Categories": "System;Monitor;",
            "Keywords": "nvidia;gpu;nvml;cuda;monitor;alerts;",
            "Keywords[zh_CN]": "显卡;监控;告警;",
        }
    )


def systemd_unit(command: Sequence[str]) -> str:
    """
    Return the systemd user unit that runs `watch`; without NoNewPrivileges, for a local mailer may need some.

    systemd refuses quotes and expands no `$$` in the executable's path, but does in its arguments.
    """
    env = ["/usr/bin/env"] if set(command[0]) & set("\"'\\$") else []
    line = " ".join(map(_unit_quote, [*env, *command, "watch"]))
    return f"""\
[Unit]
Description=Watch the NVIDIA GPUs of this machine

[Service]
ExecStart={line}
Restart=on-failure
RestartSec=30

[Install]
WantedBy=default.target
"""


def _unit_quote(word: str) -> str:
    """Quote one word of ExecStart (systemd.service(5), "Command lines"): `%` and `$` are doubled."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if escaped.isascii() and not set(escaped) & set(" \t\n'\"\\;") else f'"{escaped}"'


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
