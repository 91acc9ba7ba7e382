"""macOS: a LaunchAgent of the user, by launchd.plist(5). Not run on macOS yet."""

from __future__ import annotations

import plistlib
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

from gpuwatch_tray.autostart.entry import AutostartError, LoginEntry, LoginFile
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
