"""The command line: what was asked, and one line and an exit code for what went wrong."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

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

    status = commands.add_parser("status", parents=[common], help="ask the running tray", epilog=EPILOG)
    status.add_argument("--json", action="store_true", help="as JSON")
    commands.add_parser("quit", parents=[common], help="end the running tray", epilog=EPILOG)
    _alerts(commands, common)

    _when(commands, common)

    commands.add_parser("watch", parents=[common], help="the loop without a tray", epilog=EPILOG)

    mail = commands.add_parser("mail", help="send what waits, sign in to Gmail", epilog=EPILOG)
    tasks = mail.add_subparsers(dest="task", metavar="TASK", required=True)
    deliver = tasks.add_parser("deliver", parents=[common], help="send what waits in the outbox and is due")
    deliver.add_argument("--handed", action="store_true", help=argparse.SUPPRESS)  # by the courier
    tasks.add_parser("login", parents=[common], aliases=["auth"], help="sign in to Gmail")
    return top


def _alerts(commands: Any, common: argparse.ArgumentParser) -> None:
    alerts = commands.add_parser(
        "alerts", parents=[common], help="what fires and why, and your word on it", epilog=EPILOG
    )
    alerts.add_argument("--json", action="store_true", help="as JSON")
    tasks = alerts.add_subparsers(dest="task", metavar="TASK")
    listed = tasks.add_parser("list", parents=[common], help="what is active, and the last 100 (default)")
    listed.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="as JSON")
    tasks.add_parser("explain", parents=[common], help="each rule, and what will be sent when and why")
    ack = tasks.add_parser("ack", parents=[common], help="seen: no repeats until it ends or gets worse")
    ack.add_argument("ids", nargs="+", metavar="ID", help="the alert's number, as `alerts` prints it")
    snooze = tasks.add_parser("snooze", parents=[common], help="silence every channel, email included")
    snooze.add_argument("names", nargs="*", metavar="RULE|ID", help="without one: everything")
    snooze.add_argument("duration", metavar="DURATION", help="30m, 2h, 1d12h, or tomorrow")
    tasks.add_parser("resume", parents=[common], help="end every snooze")
    forget = tasks.add_parser("forget", parents=[common], help="a GPU that was taken out is not lost")
    forget.add_argument("uuid", metavar="UUID")


def _when(commands: Any, common: argparse.ArgumentParser) -> None:
    when = commands.add_parser("when", help="tell me once when ...", epilog=EPILOG)
    tasks = when.add_subparsers(dest="task", metavar="TASK", required=True)
    free = tasks.add_parser("free", parents=[common], help="at least N GPUs have no compute process")
    free.add_argument("count", type=_number, metavar="N")
    free.add_argument("--for", dest="hold", metavar="DURATION", help="for so long (default 60s)")
    ends = tasks.add_parser("ends", parents=[common], help="a process that is on a GPU is gone")
    ends.add_argument("pid", type=_number, metavar="PID")
    run = tasks.add_parser("run", parents=[common], help="this command, which it starts, has ended")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND ARGUMENTS...")
    tasks.add_parser("list", parents=[common], help="what is waited for")
    cancel = tasks.add_parser("cancel", parents=[common], help="wait no longer")
    cancel.add_argument("id", type=_number, metavar="ID", help="its number, as `when list` prints it")


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

            return mail.deliver(setup, handed=asked.handed) if asked.task == "deliver" else mail.login(setup)
        case "watch":
            return _watch(setup)
        case "alerts":
            return _alerts_task(setup, asked)
        case "when":
            return _when_task(setup, asked)
        case "status":
            from gpuwatch_tray.commands import status

            return status.run(setup, as_json=asked.json)
        case "quit":
            from gpuwatch_tray.commands import quit as end

            return end.run(setup)
        case _:
            from gpuwatch_tray.commands import tray

            return tray.run(setup)


def _alerts_task(setup: Setup, asked: argparse.Namespace) -> int:
    from gpuwatch_tray.commands import alerts

    match asked.task:
        case "explain":
            return alerts.explain(setup)
        case "ack":
            return alerts.acknowledge(setup, asked.ids)
        case "snooze":
            return alerts.snooze(setup, asked.names, asked.duration)
        case "resume":
            return alerts.resume(setup)
        case "forget":
            return alerts.forget(setup, asked.uuid)
        case _:
            return alerts.show(setup, as_json=asked.json)


def _when_task(setup: Setup, asked: argparse.Namespace) -> int:
    if asked.task == "run":
        from gpuwatch_tray.commands import when_run

        return when_run.run(setup, asked.argv)
    from gpuwatch_tray.commands import when

    match asked.task:
        case "free":
            return when.free(setup, asked.count, asked.hold)
        case "ends":
            return when.ends(setup, asked.pid)
        case "cancel":
            return when.cancel(setup, asked.id)
        case _:
            return when.show(setup)


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


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _complain(text: str) -> None:
    for line in text.splitlines():
        print(f"gpuwatch-tray: {line}", file=sys.stderr)
