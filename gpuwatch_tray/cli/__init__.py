"""The command line: what was asked, and one line and an exit code for what went wrong."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from gpuwatch_tray import language, redact, settings
from gpuwatch_tray.app import set_up
from gpuwatch_tray.cli.parser import parser
from gpuwatch_tray.commands import records
from gpuwatch_tray.context import SourceKind, UsageError, WorkError
from gpuwatch_tray.language import _
from gpuwatch_tray.lock import LockError
from gpuwatch_tray.store import StoreError
from gpuwatch_tray.within import call_with_timeout

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from types import FrameType

    Loaded = tuple[settings.Settings, tuple[settings.ConfigProblem, ...]]

__all__ = ["DONE", "FAILED", "WRONG_USE", "main", "parser"]

DONE, FAILED, WRONG_USE = 0, 1, 2
READ_WITHIN = 8.0  # seconds that the settings' files may take when `doctor` asks


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a windowed start on Windows has none
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no error
    words = sys.argv[1:] if argv is None else argv
    loaded = _settings_within(READ_WITHIN) if "doctor" in words else _settings()
    if loaded is None:
        language.use(language.of_system(os.environ))
        text = _("the settings' files do not answer within {seconds:g} s: are they on a network drive?")
        _complain(text.format(seconds=READ_WITHIN) + " " + _("`mount` tells"))
        return FAILED
    asked = parser().parse_args(argv)
    records.to_terminal(verbose=getattr(asked, "verbose", False))
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code: int = asked.run(set_up(os.environ, _source(asked), loaded), asked)
        if sys.stdout is not None:
            sys.stdout.flush()
    except UsageError as error:
        _complain(str(error))
        return WRONG_USE
    except BrokenPipeError:
        _close_output()  # whoever read it has had enough, as `head` has
        return DONE if asked.command == "ps" else FAILED
    except (WorkError, StoreError, LockError, OSError) as error:
        _complain(str(error))
        _close_output()
        return FAILED
    except KeyboardInterrupt:
        return DONE if asked.command in {"watch", None} else FAILED
    except Exception as error:
        logging.getLogger(__name__).exception("unexpected", extra={"in_file_only": True})
        _complain(
            _("unexpected {kind}: {error} (--verbose tells more)").format(
                kind=type(error).__name__, error=redact.text(str(error))
            )
        )
        return FAILED
    return code


def _settings_within(seconds: float) -> Loaded | None:
    """The settings, or None where their drive hangs: the doctor is asked what hangs."""
    try:
        return call_with_timeout(seconds, _settings, "settings")
    except TimeoutError:
        return None


def _settings() -> Loaded:
    """The settings, and the language that they ask for spoken: first of all, for --help speaks it too."""
    loaded = settings.load(os.environ)
    if loaded[0].language != language.used():
        language.use(loaded[0].language)
        loaded = settings.load(os.environ)  # once more: what is wrong with them is said in it
    return loaded


def _terminated(number: int, _frame: FrameType | None) -> None:
    """End as by an error, so that what is under way, such as MYGPU's program, is ended as well."""
    raise SystemExit(128 + number)


def _close_output() -> None:
    """Keep what is still to be written from failing once more, at the interpreter's end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _source(asked: argparse.Namespace) -> SourceKind | None:
    if getattr(asked, "demo", False):
        if hasattr(asked, "source"):
            raise UsageError(_("--demo and --source exclude each other"))
        return SourceKind.DEMO
    return SourceKind(asked.source) if hasattr(asked, "source") else None


def _complain(text: str) -> None:
    for line in text.splitlines():
        print(f"gpuwatch-tray: {line}", file=sys.stderr)
