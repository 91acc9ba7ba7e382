"""The command line: run one command, and turn an error into one line and an exit code."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from gpuwatch_tray import i18n, settings
from gpuwatch_tray.app import logs
from gpuwatch_tray.app.context import SourceKind, UsageError, WorkError, create_context
from gpuwatch_tray.cli.printing import complain
from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from gpuwatch_tray.app.early_start import BegunRun

    LoadedSettings = tuple[settings.Settings, tuple[settings.ConfigProblem, ...]]


DONE, FAILED, WRONG_USE = 0, 1, 2
READ_WITHIN = 8.0  # seconds for reading the settings' files when `doctor` runs


def main(argv: Sequence[str] | None = None, begun: BegunRun | None = None) -> int:
    """Run one command and return its exit code; `begun` is what `when run` has started already."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None in a windowed start on Windows
            stream.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    code = _run_command(argv, begun)
    if begun is None or begun.finished:
        return code
    return begun.wait()  # nothing of ours keeps it from running, nor changes how it ends


def import_commands(words: Sequence[str]) -> None:
    """Import what `main` would for this command line; without words it is the tray, which does so itself."""
    if words:
        from gpuwatch_tray.cli import parser

        parser.import_commands(parser.modules_for(words))


def _run_command(argv: Sequence[str] | None, begun: BegunRun | None) -> int:
    words = sys.argv[1:] if argv is None else argv
    try:  # a drive that hangs is what `doctor` is asked about
        loaded = _load_in_time() if "doctor" in words else _load_settings()
    except TimeoutError:
        i18n.set_language(i18n.system_language(os.environ))
        text = _("the settings files cannot be read within {seconds:g} s: are they on a network drive?")
        complain(text.format(seconds=READ_WITHIN) + " " + _("Check with `mount`."))
        return FAILED
    args = _parse(words)
    args.begun = begun
    logs.log_to_terminal(verbose=getattr(args, "verbose", False))
    if begun is None:  # else it is the command's
        signal.signal(signal.SIGTERM, _exit_on_signal)
    try:
        code: int = args.run(create_context(os.environ, _source(args), loaded), args)
        if sys.stdout is not None:
            sys.stdout.flush()
    except UsageError as error:
        complain(str(error))
        return WRONG_USE
    except BrokenPipeError:
        _close_output()  # the reader of a pipe, such as `head`, has ended
        return DONE if args.command == "ps" else FAILED
    except KeyboardInterrupt:
        return DONE if args.command in {"watch", None} else FAILED
    except Exception as error:
        if _is_failure(error):
            complain(str(error))
            _close_output()
            return FAILED
        logging.getLogger(__name__).exception("unexpected", extra={"in_file_only": True})
        text = _("unexpected {kind}: {error} (use --verbose for details)")
        complain(text.format(kind=type(error).__name__, error=redact.text(str(error))))
        return FAILED
    return code


def _parse(words: Sequence[str]) -> Any:
    """Return the arguments: `command`, `run`, its body, and what else was said."""
    if not words:
        from gpuwatch_tray.cli.tray import without_words

        return without_words()
    from gpuwatch_tray.cli.parser import parse_words

    return parse_words(words)


def _load_settings() -> LoadedSettings:
    """Load the settings and switch to their language, which --help needs too."""
    loaded = settings.load(os.environ)
    if loaded[0].language != i18n.current_language():
        i18n.set_language(loaded[0].language)
        loaded = settings.load(os.environ)  # again: their mistakes are worded in it
    return loaded


def _load_in_time() -> LoadedSettings:
    """Do so; raises TimeoutError where a drive hangs."""
    from gpuwatch_tray.common.threads import call_with_timeout

    return call_with_timeout(READ_WITHIN, _load_settings, "settings")


def _is_failure(error: Exception) -> bool:
    """Tell whether this is an error of the work, whose text says all; any other is one of the program."""
    if isinstance(error, (WorkError, OSError)):
        return True
    from gpuwatch_tray.ipc.lock import LockError  # late: most commands do not load the state
    from gpuwatch_tray.store import StoreError

    return isinstance(error, (LockError, StoreError))


def _exit_on_signal(number: int, _frame: FrameType | None) -> None:
    """Exit as by an error, so that cleanup ends child processes, such as MYGPU's program."""
    raise SystemExit(128 + number)


def _close_output() -> None:
    """Flush the output, or send it to nowhere, so that it does not fail again at the interpreter's exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _source(args: Any) -> SourceKind | None:
    if getattr(args, "demo", False):
        if hasattr(args, "source"):
            raise UsageError(_("--demo and --source cannot be used together"))
        return SourceKind.DEMO
    return SourceKind(args.source) if hasattr(args, "source") else None
