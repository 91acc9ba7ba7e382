"""
`when run` before all else: its command starts while the rest of the program is still to be loaded.

So nothing may be imported here that takes long: no settings, no parser, no texts. What is not plain is left
to the parser, which then starts it.
"""

from __future__ import annotations

import os
import sys
import time

from gpuwatch_tray.common import user_folders
from gpuwatch_tray.common.child import RunningCommand, StartError
from gpuwatch_tray.common.oom import HostWatch
from gpuwatch_tray.common.run_log import RECORD, RunLog, new_run_folder

TYPE_CHECKING = False  # the typing module takes longer than all of this one
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


VALUES = ("--name", "--log", "--attach")


class RunWords:
    """The words of `when run`: its command, a name, a file that gets the whole output, and patterns."""

    def __init__(
        self, argv: Sequence[str], name: str = "", log: str = "", attach: Sequence[str] = ()
    ) -> None:
        self.argv = argv
        self.name = name
        self.log = log
        self.attach = attach


class BegunRun:
    """
    A run from before its start: its folder and log are there, then its command runs.

    `state` is the state's folder, None for no lasting log; `folder` the run's, where there is one already.
    What fails of all that is in `log_error` and `copy_error`, a command that cannot be started in `error`.
    """

    def __init__(
        self, words: RunWords, state: str | None, environ: Mapping[str, str] | None = None, folder: str = ""
    ) -> None:
        self.words = words
        self.number = 0
        self.folder = folder
        self.lasting = state is not None
        self.log_error: OSError | None = None
        self.copy_error: OSError | None = None
        self.error: StartError | None = None
        self.command: RunningCommand | None = None
        self.began = time.time()
        self.finished = False  # whether its end was told
        self.host = HostWatch()
        try:
            self.command = RunningCommand(words.argv, environ, self._open_log(state), self._open_copy())
        except StartError as error:
            self.error = error

    def wait(self) -> int:
        """Wait for the command, of which nothing is told; return its exit code."""
        self.finished = True
        if self.command is not None:
            return self.command.wait()
        if self.error is None:
            return 1
        sys.stderr.write(f"gpuwatch-tray: {self.error}\n")
        return self.error.code

    def _open_log(self, state: str | None) -> RunLog | None:
        """Open the log; where none can be kept one for as long as the run goes on."""
        try:
            if state is not None and not self.folder:
                self.number, self.folder = new_run_folder(os.path.join(state, "runs"))
                self._write_record()
            if self.folder:
                return RunLog(self.folder)
        except OSError as error:
            self.log_error, self.lasting = error, False
        import tempfile  # late: usually not needed

        try:
            self.folder = tempfile.mkdtemp(prefix="gpuwatch-run-")
        except OSError:  # nowhere: the run goes on, and its last lines are not known
            return None
        return RunLog(self.folder)

    def _write_record(self) -> None:
        """Write what `runs` shows should this process be killed before it has loaded the rest."""
        path = os.path.join(self.folder, RECORD)
        file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.write(file, b'{"number": %d, "command": "", "began": %f}' % (self.number, self.began))
        finally:
            os.close(file)

    def _open_copy(self) -> int | None:
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0)
        try:
            return os.open(self.words.log, flags, 0o600) if self.words.log else None
        except OSError as error:
            self.copy_error = error
            return None


def begin_early(words: Sequence[str]) -> BegunRun | None:
    """Start the command of these words, as `when run` has them; None where the parser is to decide."""
    plain = read_words(words)
    state = state_folder(os.environ)
    return None if plain is None or state is None else BegunRun(plain, state)


def read_words(words: Sequence[str]) -> RunWords | None:
    """Read `[OPTION VALUE]... -- COMMAND`, written out; None for all else."""
    found: dict[str, list[str]] = {option: [] for option in VALUES}
    left = list(words)
    while left and left[0] != "--":
        option, assigned, value = left.pop(0).partition("=")
        if not assigned:
            value = left.pop(0) if left else "-"
        if option not in found or value.startswith("-"):
            return None
        found[option].append(value)
    if not left[1:]:
        return None
    name, log = ("".join(found[option][-1:]) for option in VALUES[:2])
    return RunWords(left[1:], name, log, found["--attach"])


def state_folder(environ: Mapping[str, str]) -> str | None:
    """Return the state's folder as the settings have it; None where that takes more to know."""
    named = environ.get("GPUWATCH_CACHE", "")
    if not named and sys.platform == "linux":  # elsewhere that takes long to know
        named = user_folders.state_folder(environ)
    return named if os.path.isabs(named) else None
