"""
The entry by which each system starts the program at login: read, written and repaired.

It is an XDG autostart file, a LaunchAgent (macOS) or a value of the Run key (Windows).
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from msgspec import Struct

from gpuwatch_tray.desktop import entries
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


class AutostartError(Exception):
    """The start at login cannot be read or set; the text says why in one line."""


class LoginEntry(Struct, frozen=True):
    """The command that is started at login, first the program's path."""

    command: tuple[str, ...]
    switched_off: str = ""  # what does so, such as Task Manager's switch

    @property
    def works(self) -> bool:
        """Whether there is a program at the path."""
        return bool(self.command) and os.access(self.command[0], os.X_OK) and Path(self.command[0]).is_file()


@contextmanager
def autostart_errors(what: str) -> Iterator[None]:
    """Turn an error of the operating system into an AutostartError that names `what`."""
    try:
        yield
    except UnicodeError as error:
        raise AutostartError(
            _("{what}: a path that is not UTF-8 cannot be written there").format(what=what)
        ) from error
    except OSError as error:
        raise AutostartError(f"{what}: {error.strerror or error}") from error


class LoginFile:
    """A login entry that is one file; methods raise AutostartError."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def where(self) -> str:
        """The file."""
        return str(self._file)

    def remove(self) -> None:
        """Delete the file; a running program goes on."""
        with autostart_errors(self.where):
            self._file.unlink(missing_ok=True)

    def _read_file(self) -> bytes | None:
        with autostart_errors(self.where):
            try:
                return self._file.read_bytes()
            except FileNotFoundError:
                return None

    def _write_file(self, content: Callable[[], bytes]) -> None:
        if not self._file.is_absolute():
            raise AutostartError(_("this account has no home folder for it"))
        with autostart_errors(self.where):
            data = content()  # a path that is not UTF-8 fails here
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part = self._file.with_name(f"{self._file.name}.part")
            part.write_bytes(data)
            part.replace(self._file)


NAME = "gpuwatch-tray"
WINDOWED = "gpuwatch-trayw.exe"  # no console window at login
# Where installers link scripts of environments that they move and rebuild (pipx, uv, a package).
SHIM_VARIABLES = ("PIPX_BIN_DIR", "UV_TOOL_BIN_DIR", "XDG_BIN_HOME")
COMMON_SHIMS = ("/usr/local/bin", "/usr/bin")


def start_command(
    environ: Mapping[str, str] = os.environ, executable: str = sys.executable, platform: str = sys.platform
) -> tuple[str, ...]:
    """Return the absolute command: a link to the script beside the interpreter, the script, or `-m`."""
    python = Path(executable).absolute()
    script = python.with_name(WINDOWED if platform == "win32" else NAME)
    if not script.is_file():
        return (str(python), "-P", "-m", "gpuwatch_tray")
    if platform == "win32":  # installers copy there, and a copy does not show its origin
        return (str(script),)
    return (str(next(_links_to(script, environ), script)),)


def _links_to(script: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    real = script.resolve()
    named = [environ[name] for name in SHIM_VARIABLES if environ.get(name)]
    home = environ.get("HOME", "")
    for folder in (*named, *([f"{home}/.local/bin"] if home else []), *COMMON_SHIMS):
        link = Path(folder) / NAME
        if link.is_absolute() and link.is_symlink() and link.resolve() == real:
            yield link


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


class XdgAutostart(LoginFile):
    """The file in `folder`, which desktops read at login; `icon` is its picture."""

    def __init__(self, folder: Path, icon: str) -> None:
        super().__init__(folder / FILE)
        self._icon = icon

    def read(self) -> LoginEntry | None:
        """Return the entry of the file."""
        text = self._text()
        if text is None:
            return None
        values = entries.parse_desktop_entry(text)
        off = (f"{key}={off}" for key, off in SWITCHES.items() if values.get(key, "").lower() == off)
        return LoginEntry(tuple(entries.parse_exec(values.get("Exec", ""))), next(off, ""))

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
    """Return the agent: started at login with a screen (Aqua) and after a crash, not after Quit."""
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
        import plistlib  # late, as below: only macOS has property lists

        self._write_file(lambda: plistlib.dumps(agent_plist(command)))

    def repair(self, command: Sequence[str]) -> None:
        """Change the program's path."""
        import plistlib

        agent = self._agent()
        if agent is not None:
            changed = agent | {"ProgramArguments": list(command)}
            self._write_file(lambda: plistlib.dumps(changed))

    def _agent(self) -> dict[str, Any] | None:
        import plistlib
        from xml.parsers.expat import ExpatError

        data = self._read_file()
        try:
            agent = plistlib.loads(data) if data else None
        except (plistlib.InvalidFileException, ExpatError, ValueError) as error:
            raise AutostartError(
                _("{where}: this is not a property list: delete it").format(where=self.where)
            ) from error
        return agent if isinstance(agent, dict) else None


RUN = r"Software\Microsoft\Windows\CurrentVersion\Run"
APPROVED = r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"
MAX_RUN_VALUE = 260  # characters of a Run value ("Run and RunOnce Registry Keys", Microsoft)


class RegistryValues(Protocol):
    """The values below HKEY_CURRENT_USER by their key; methods raise OSError."""

    def get(self, key: str, name: str) -> str | bytes | None:
        """Return one value; None for none."""

    def set(self, key: str, name: str, value: str) -> None:
        """Write a text (REG_SZ)."""

    def delete(self, key: str, name: str) -> None:
        """Delete one value, if it is there."""


def parse_run_value(value: str) -> tuple[str, ...]:
    """Return the program of a value, and its arguments as they are written."""
    if value.startswith('"'):
        program, _, rest = value[1:].partition('"')
    else:
        program, _, rest = value.partition(" ")
    return (program, *rest.split())


def switched_off(state: str | bytes | None) -> bool:
    """Tell whether Task Manager has switched the value off: its first byte is odd then (03, 07)."""
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
        # The program always in quotes.
        value = " ".join([f'"{command[0]}"', *(subprocess.list2cmdline([word]) for word in command[1:])])
        if len(value) > MAX_RUN_VALUE:
            raise AutostartError(
                _(
                    "{value} is longer than the {most} characters that Windows allows: install it elsewhere"
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


LoginRegistry: TypeAlias = XdgAutostart | LaunchAgent | RunKey


class LoginItem:
    """The start at login for this user; every method raises AutostartError."""

    def __init__(self, registry: LoginRegistry, command: tuple[str, ...]) -> None:
        self._registry = registry
        self.command = command

    @property
    def where(self) -> str:
        """The place of the entry."""
        return self._registry.where

    def entry(self) -> LoginEntry | None:
        """Return our entry; None for none."""
        return self._registry.read()

    def on(self) -> bool:
        """Return whether the entry is there and switched on."""
        entry = self.entry()
        return entry is not None and not entry.switched_off

    def switch(self, *, on: bool) -> None:
        """Switch it on, with this installation's command, or off."""
        if on:
            self._registry.write(self.command)
        else:
            self._registry.remove()

    def repair(self) -> str:
        """
        Replace the command of an entry whose program is gone; return what was replaced, if anything.

        An entry that is switched off stays so, and one that works stays too: starting another installation,
        such as a checkout, is no reason to take over the login.
        """
        entry = self.entry()
        if entry is None or entry.switched_off or entry.works:
            return ""
        self._registry.repair(self.command)
        return f"{self.where}: {' '.join(entry.command) or 'nothing'} is gone; now {' '.join(self.command)}"


def system_login_item(icon: str, environ: Mapping[str, str] = os.environ) -> LoginItem:
    """Return this system's start at login; `icon` is the picture that a desktop's settings show."""
    registry: LoginRegistry
    home = Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111  # raises nothing
    if sys.platform == "win32":
        registry = RunKey(UserRegistry())
    elif sys.platform == "darwin":
        registry = LaunchAgent(home / "Library/LaunchAgents")
    else:
        named = Path(environ.get("XDG_CONFIG_HOME", ""))
        registry = XdgAutostart((named if named.is_absolute() else home / ".config") / "autostart", icon)
    return LoginItem(registry, start_command(environ))
