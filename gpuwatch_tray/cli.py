"""The command line: what was asked, and one line and an exit code for what went wrong."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from gpuwatch_tray import __version__, redact
from gpuwatch_tray.app import set_up
from gpuwatch_tray.context import Setup, SourceKind, UsageError, WorkError
from gpuwatch_tray.lock import LockError
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

DONE, FAILED, WRONG_USE = 0, 1, 2
EPILOG = "Exit codes: 0 done, also with nothing to report; 1 the work failed; 2 wrong use or configuration."


def parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument(
        "--source",
        choices=[kind.value for kind in SourceKind if kind is not SourceKind.DEMO],
        help="nvml: the NVIDIA driver (default); command: the program MYGPU (default where it is set);"
        " auto: the driver, or simulated GPUs where there is none, for trying out",
    )
    common.add_argument("--demo", action="store_true", help="simulated GPUs, labelled so; mails nowhere")
    common.add_argument("--verbose", action="store_true", help="log every decision to standard error")
    top = argparse.ArgumentParser(
        prog="gpuwatch-tray",
        description="Watch the NVIDIA GPUs of this machine: without a command, from the tray.",
        epilog=EPILOG,
        parents=[common],
    )
    top.add_argument("--version", action="version", version=f"gpuwatch-tray {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    ps = commands.add_parser("ps", parents=[common], help="list the GPU processes", epilog=EPILOG)
    ps.add_argument("--all", action="store_true", help="everyone's, graphics too, with owner and type")
    ps.add_argument("--json", action="store_true", help="as JSON")
    ps.add_argument("--watch", type=_seconds, metavar="N", help="again every N seconds, until Ctrl-C")

    check = commands.add_parser("check", parents=[common], help="evaluate once, for cron", epilog=EPILOG)
    how = check.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="print subject and body, send nothing")
    how.add_argument("--test-mail", action="store_true", help="send a mail now, past the cooldown")

    commands.add_parser("watch", parents=[common], help="the loop without a tray", epilog=EPILOG)

    mail = commands.add_parser("mail", help="send what waits, sign in to Gmail", epilog=EPILOG)
    tasks = mail.add_subparsers(dest="task", metavar="TASK", required=True)
    tasks.add_parser("deliver", parents=[common], help="send what waits in the outbox and is due")
    tasks.add_parser("login", parents=[common], aliases=["auth"], help="sign in to Gmail")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a windowed start on Windows has none
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no error
    asked = parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if getattr(asked, "verbose", False):  # ours alone: what libraries tell of mails and sign-ins is not ours
        logging.getLogger("gpuwatch_tray").setLevel(logging.DEBUG)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = _run(asked)
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
        logging.getLogger(__name__).debug("unexpected", exc_info=True)
        _complain(f"unexpected {type(error).__name__}: {redact.text(str(error))} (--verbose tells more)")
        return FAILED
    return code


def _terminated(number: int, _frame: FrameType | None) -> None:
    """End as by an error, so that what is under way, such as MYGPU's program, is ended as well."""
    raise SystemExit(128 + number)


def _close_output() -> None:
    """Keep what is still to be written from failing once more, at the interpreter's end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(asked: argparse.Namespace) -> int:
    # Each command is imported where it runs: `ps` needs no tray, the tray no mail.
    setup = set_up(os.environ, _source(asked))
    match asked.command:
        case "ps":
            from gpuwatch_tray.commands import ps

            return ps.run(setup, everyone=asked.all, as_json=asked.json, every=asked.watch)
        case "check":
            from gpuwatch_tray.commands import check

            return check.run(setup, dry_run=asked.dry_run, test_mail=asked.test_mail)
        case "mail":
            from gpuwatch_tray.commands import mail

            return mail.deliver(setup) if asked.task == "deliver" else mail.login(setup)
        case "watch":
            return _watch(setup)
        case _:
            from gpuwatch_tray.commands import tray

            return tray.run(setup)


def _watch(setup: Setup) -> int:
    from gpuwatch_tray.commands import watch

    return watch.run(setup)


def _source(asked: argparse.Namespace) -> SourceKind | None:
    if getattr(asked, "demo", False):
        if hasattr(asked, "source"):
            raise UsageError("--demo and --source exclude each other")
        return SourceKind.DEMO
    return SourceKind(asked.source) if hasattr(asked, "source") else None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")
    return seconds


def _complain(text: str) -> None:
    for line in text.splitlines():
        print(f"gpuwatch-tray: {line}", file=sys.stderr)
