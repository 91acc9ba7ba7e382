"""
`gpuwatch_tray.run`: a part of a Python program, as in a notebook, whose end is told like that of `when run`.

    with gpuwatch_tray.run("train"):
        train()

    @gpuwatch_tray.run("train")
    def train(): ...
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import ContextDecorator
from typing import TYPE_CHECKING

from gpuwatch_tray import i18n
from gpuwatch_tray.app.context import UsageError, create_context
from gpuwatch_tray.app.run_command import FAILURES, RunOptions, RunRecorder
from gpuwatch_tray.common import host, redact
from gpuwatch_tray.runs import Exited
from gpuwatch_tray.settings import load

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from gpuwatch_tray.model import Instant


LAST_LINES = 10
INTERRUPTED = 130  # as a shell has it for Ctrl-C


class PythonRun(ContextDecorator):
    """
    Tells how the block or the function ended, and why; never changes it, and raises nothing of its own.

    A failure of the telling is one line on standard error.
    """

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._recorder: RunRecorder | None = None
        self._began: Instant | None = None
        self._pid = 0

    def _recreate_cm(self) -> PythonRun:
        """Make one for each call of a decorated function."""
        return PythonRun(self._name)

    def __enter__(self) -> Self:
        """Announce the run: its end is then told even if this process is killed."""
        try:
            loaded = load(os.environ)
            i18n.set_language(loaded[0].language)
            context = create_context(os.environ, None, loaded)
            words = tuple(sys.argv) if sys.argv and sys.argv[0] else ("python",)
            self._recorder = RunRecorder(context, RunOptions(words, self._name), _complain)
            self._recorder.open_log()
            self._recorder.announce(os.getpid())
        except (UsageError, *FAILURES) as error:
            _complain(str(error))
        except Exception as error:  # noqa: BLE001  # as at the end
            _complain(f"{type(error).__name__}: {redact.text(str(error))}")
        self._began, self._pid = host.now(), os.getpid()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell the end."""
        recorder, began = self._recorder, self._began
        if recorder is None or began is None or os.getpid() != self._pid:  # a fork of it leaves the block
            return
        self._recorder = None
        code = _exit_code(error)
        said = "".join(traceback.format_exception(kind, error, trace)) if code else ""
        recorder.write(said.encode("utf-8", "replace"))
        seconds = max(0.0, host.now().since(began))
        try:
            recorder.finish(Exited(code), code, seconds, output=redact.lines(said)[-LAST_LINES:])
        except Exception as failure:  # noqa: BLE001  # the program's own error goes on
            _complain(f"{type(failure).__name__}: {redact.text(str(failure))}")


def _exit_code(error: BaseException | None) -> int:
    if error is None or (isinstance(error, SystemExit) and error.code in {None, 0}):
        return 0
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def _complain(text: str) -> None:
    sys.stderr.write(f"gpuwatch-tray: {text}\n")
