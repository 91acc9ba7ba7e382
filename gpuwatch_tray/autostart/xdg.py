"""The places of each system's start at login: XDG autostart file, LaunchAgent (macOS), Run key (Windows)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray import desktopentry
from gpuwatch_tray.autostart.entry import LoginEntry, LoginFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE = "gpuwatch-tray.desktop"
# How desktops switch an entry off (Autostart Specification 0.5), and GNOME's older way.
SWITCHES = {"Hidden": "true", "X-GNOME-Autostart-enabled": "false"}


def format_entry(command: Sequence[str], icon: str) -> str:
    """Return the text of the entry."""
    return desktopentry.format_desktop_entry(
        {
            "Type": "Application",
            "Name": "gpuwatch-tray",
            "Comment": "Watch the NVIDIA GPUs of this machine from the tray",
            "Comment[zh_CN]": "在托盘中监控本机的 NVIDIA GPU",
            **desktopentry.program_keys(command),
            "Icon": icon,
            "Terminal": "false",
            "StartupNotify": "false",
            "X-GNOME-Autostart-enabled": "true",
        }
    )


def parse_entry(text: str) -> LoginEntry:
    """Return the entry of a file's text."""
    values = desktopentry.parse_desktop_entry(text)
    off = next(
        (f"{key}={value}" for key, value in SWITCHES.items() if values.get(key, "").lower() == value), ""
    )
    return LoginEntry(tuple(desktopentry.parse_exec(values.get("Exec", ""))), off)


class XdgAutostart(LoginFile):
    """The file in `folder`, which desktops read at login; `icon` is its picture."""

    def __init__(self, folder: Path, icon: str) -> None:
        super().__init__(folder / FILE)
        self._icon = icon

    def read(self) -> LoginEntry | None:
        """Return the entry of the file."""
        text = self._text()
        return None if text is None else parse_entry(text)

    def write(self, command: Sequence[str]) -> None:
        """Write the file anew."""
        self._write_file(format_entry(command, self._icon).encode)

    def repair(self, command: Sequence[str]) -> None:
        """Change the lines that name the program."""
        text = self._text()
        if text is not None:
            keys = desktopentry.program_keys(command) | {"Icon": self._icon}
            self._write_file(desktopentry.update_desktop_entry(text, keys).encode)

    def _text(self) -> str | None:
        data = self._read_file()
        return None if data is None else data.decode(errors="replace")
