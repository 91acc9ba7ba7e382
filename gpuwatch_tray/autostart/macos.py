"""macOS: a LaunchAgent of the user, by launchd.plist(5). Not run on macOS yet."""

from __future__ import annotations

import plistlib
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

from gpuwatch_tray.autostart.entry import AutostartError, LoginEntry, autostart_errors, replace_file
from gpuwatch_tray.language import _

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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


class LaunchAgent:
    """The agent's file in `folder`, which launchd reads at login."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / f"{LABEL}.plist"

    @property
    def where(self) -> str:
        """The file."""
        return str(self._file)

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
        self._write(agent_plist(command))

    def repair(self, command: Sequence[str]) -> None:
        """Change the program's path."""
        agent = self._agent()
        if agent is not None:
            self._write(agent | {"ProgramArguments": list(command)})

    def remove(self) -> None:
        """Delete the file; a running program goes on."""
        with autostart_errors(self.where):
            self._file.unlink(missing_ok=True)

    def _agent(self) -> dict[str, Any] | None:
        try:
            with autostart_errors(self.where):
                data = self._file.read_bytes() if self._file.exists() else b""
            agent = plistlib.loads(data) if data else None
        except (plistlib.InvalidFileException, ExpatError, ValueError) as error:
            raise AutostartError(
                _("{where}: this is no property list: delete it").format(where=self.where)
            ) from error
        return agent if isinstance(agent, dict) else None

    def _write(self, agent: dict[str, Any]) -> None:
        if not self._file.is_absolute():
            raise AutostartError(_("this account has no home folder for it"))
        with autostart_errors(self.where):
            replace_file(self._file, plistlib.dumps(agent))
