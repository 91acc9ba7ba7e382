"""Windows: a value of HKEY_CURRENT_USER's Run key. Not run on Windows yet."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Protocol

from gpuwatch_tray.autostart.entry import AutostartError, LoginEntry, autostart_errors
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Sequence

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
