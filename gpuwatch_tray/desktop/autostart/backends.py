"""The places of each system's start at login: XDG autostart file, LaunchAgent (macOS), Run key (Windows)."""

from __future__ import annotations

import plistlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Protocol
from xml.parsers.expat import ExpatError

from gpuwatch_tray.desktop import entries
from gpuwatch_tray.desktop.autostart.base import AutostartError, LoginEntry, LoginFile, autostart_errors
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


FILE = "gpuwatch-tray.desktop"
# How desktops switch an entry off (Autostart Specification 0.5), and GNOME's older way.
SWITCHES = {"Hidden": "true", "X-GNOME-Autostart-enabled": "false"}


def format_entry(command: Sequence[str], icon: str) -> str:
    """Return the text of the entry."""
    return entries.format_desktop_entry(
        {
            "Type": "Application",
            "Name": "gpuwatch-tray",
            "Comment": "Watch the NVIDIA GPUs of this machine from the tray",
            "Comment[zh_CN]": "在托盘中监控本机的 NVIDIA GPU",
            **entries.program_keys(command),
            "Icon": icon,
            "Terminal": "false",
            "StartupNotify": "false",
            "X-GNOME-Autostart-enabled": "true",
        }
    )


def parse_entry(text: str) -> LoginEntry:
    """Return the entry of a file's text."""
    values = entries.parse_desktop_entry(text)
    off = next(
        (f"{key}={value}" for key, value in SWITCHES.items() if values.get(key, "").lower() == value), ""
    )
    return LoginEntry(tuple(entries.parse_exec(values.get("Exec", ""))), off)


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
            keys = entries.program_keys(command) | {"Icon": self._icon}
            self._write_file(entries.update_desktop_entry(text, keys).encode)

    def _text(self) -> str | None:
        data = self._read_file()
        return None if data is None else data.decode(errors="replace")


LABEL = "io.github.gpuwatch_tray"


def agent_plist(command: Sequence[str]) -> dict[str, Any]:
    """
    Return the agent: started at login and after a crash, but not after Quit, which exits with success.

    It starts in a session with a screen (Aqua) only, not in one over SSH.
    """
    return {
        "Label": LABEL,
        "ProgramArguments": list(command),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "LimitLoadToSessionType": "Aqua",
        "ProcessType": "Interactive",
    }


class LaunchAgent(LoginFile):
    """The agent's file in `folder`, which launchd reads at login."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / f"{LABEL}.plist")

    def read(self) -> LoginEntry | None:
        """Return the entry of the file."""
        agent = self._agent()
        if agent is None:
            return None
        words = agent.get("ProgramArguments")
        command = tuple(map(str, words)) if isinstance(words, list) else ()
        return LoginEntry(command, "Disabled" if agent.get("Disabled") is True else "")

    def write(self, command: Sequence[str]) -> None:
        """Write the file anew."""
        self._write_file(lambda: plistlib.dumps(agent_plist(command)))

    def repair(self, command: Sequence[str]) -> None:
        """Change the program's path."""
        agent = self._agent()
        if agent is not None:
            changed = agent | {"ProgramArguments": list(command)}
            self._write_file(lambda: plistlib.dumps(changed))

    def _agent(self) -> dict[str, Any] | None:
        data = self._read_file()
        try:
            agent = plistlib.loads(data) if data else None
        except (plistlib.InvalidFileException, ExpatError, ValueError) as error:
            raise AutostartError(
                _("{where}: this is no property list: delete it").format(where=self.where)
            ) from error
        return agent if isinstance(agent, dict) else None


RUN = r"Software\Microsoft\Windows\CurrentVersion\Run"
APPROVED = r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"
NAME = "gpuwatch-tray"
MAX_RUN_VALUE = 260  # characters of a Run value ("Run and RunOnce Registry Keys", Microsoft)


class RegistryValues(Protocol):
    """The values below HKEY_CURRENT_USER by their key; methods raise OSError."""

    def get(self, key: str, name: str) -> str | bytes | None:
        """Return one value; None for none."""

    def set(self, key: str, name: str, value: str) -> None:
        """Write a text (REG_SZ)."""

    def delete(self, key: str, name: str) -> None:
        """Delete one value, if it is there."""


def format_run_value(command: Sequence[str]) -> str:
    """Return the value that starts this command, the program always in quotes."""
    return " ".join([f'"{command[0]}"', *(subprocess.list2cmdline([word]) for word in command[1:])])


def parse_run_value(value: str) -> tuple[str, ...]:
    """Return the program of a value, and its arguments as they are written."""
    if value.startswith('"'):
        program, _, rest = value[1:].partition('"')
    else:
        program, _, rest = value.partition(" ")
    return (program, *rest.split())


def switched_off(state: str | bytes | None) -> bool:
    """
    Return whether Task Manager has switched the value off.

    It writes 12 bytes for each value: an odd first byte (03, 07) means off, an even one (02, 06) on; without
    any, the value counts.
    """
    return isinstance(state, bytes) and bool(state) and state[0] % 2 == 1


class RunKey:
    """The value in the registry, through `values`."""

    where = rf"HKEY_CURRENT_USER\{RUN}\{NAME}"

    def __init__(self, values: RegistryValues) -> None:
        self._values = values

    def read(self) -> LoginEntry | None:
        """Return the entry of the value."""
        with autostart_errors(self.where):
            value = self._values.get(RUN, NAME)
            state = self._values.get(APPROVED, NAME)
        if not isinstance(value, str):
            return None
        return LoginEntry(parse_run_value(value), "Task Manager" if switched_off(state) else "")

    def write(self, command: Sequence[str]) -> None:
        """Write the value, and remove Task Manager's switch."""
        self.repair(command)
        with autostart_errors(self.where):
            self._values.delete(APPROVED, NAME)

    def repair(self, command: Sequence[str]) -> None:
        """Write the value."""
        value = format_run_value(command)
        if len(value) > MAX_RUN_VALUE:
            raise AutostartError(
                _(
                    "{value} is longer than the {most} characters that Windows takes: install it elsewhere"
                ).format(value=value, most=MAX_RUN_VALUE)
            )
        with autostart_errors(self.where):
            self._values.set(RUN, NAME, value)

    def remove(self) -> None:
        """Delete the value and its switch."""
        with autostart_errors(self.where):
            self._values.delete(RUN, NAME)
            self._values.delete(APPROVED, NAME)


if sys.platform == "win32":
    import winreg

    class UserRegistry:
        """The values of this user's registry."""

        def get(self, key: str, name: str) -> str | bytes | None:
            """Return one value; None for none."""
            try:
                with winreg.OpenKey(winreg.HKEY_CURRENT_USER, key) as opened:
                    value, _kind = winreg.QueryValueEx(opened, name)
            except FileNotFoundError:
                return None
            return value if isinstance(value, str | bytes) else None

        def set(self, key: str, name: str, value: str) -> None:
            """Write a text (REG_SZ)."""
            with winreg.CreateKey(winreg.HKEY_CURRENT_USER, key) as opened:
                winreg.SetValueEx(opened, name, 0, winreg.REG_SZ, value)

        def delete(self, key: str, name: str) -> None:
            """Delete one value, if it is there."""
            try:
                with winreg.OpenKey(winreg.HKEY_CURRENT_USER, key, 0, winreg.KEY_SET_VALUE) as opened:
                    winreg.DeleteValue(opened, name)
            except FileNotFoundError:
                return
