"""`when`: one-shot reminders, for free GPUs or an end. Through the running tray, else on the store."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.context import RunContext, UsageError
from gpuwatch_tray.app.control import operate
from gpuwatch_tray.app.lab_wait import (
    add_lab_end,
    add_lab_free,
    cancel_lab_reminder,
    lab_reminder_lines,
)
from gpuwatch_tray.cli.base import gpu_numbers, memory_size, percent, positive_int
from gpuwatch_tray.cli.printing import complain
from gpuwatch_tray.common import host
from gpuwatch_tray.common.lab_numbers import lab_number
from gpuwatch_tray.engine import operations
from gpuwatch_tray.engine.operations import HOLD
from gpuwatch_tray.i18n import N_, _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gpuwatch_tray.cli.base import CommandGroup


NOTHING_RUNS = N_("nothing is watching now: start gpuwatch-tray")
NO_REMINDERS = N_("no pending reminders")
OF_A_COMMAND = ("--max-use", "--only", "--timeout", "--detach", "--name")  # of `when free`: for what it runs


def add_free_reminder(context: RunContext, args: argparse.Namespace) -> int:
    """Add a reminder for N GPUs that have been free for a duration, or wait for them and run a command."""
    seconds = HOLD if args.hold is None else _duration(args.hold)
    if args.on is not None:
        return _add_lab_free(context, args, seconds)
    if args.spread:
        raise UsageError(_("--spread is for hosts of the lab: when free 2 --on 'gpu*' --spread"))
    if args.argv:
        return _run_on_free(context, args, seconds)
    for option in _given(args, "--memory", *OF_A_COMMAND):
        text = _("{option} is for a command: when free 2 {option} ... -- COMMAND")
        raise UsageError(text.format(option=option))
    return _operate(context, {"do": "when free", "count": args.count, "hold": seconds})


def _given(args: argparse.Namespace, *options: str) -> Iterator[str]:
    """Yield those of these options that are on the command line."""
    for option in options:
        if getattr(args, option.removeprefix("--").replace("-", "_")):
            yield option


def _duration(text: str) -> float:
    try:
        return operations.parse_duration(text, host.now().wall)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _run_on_free(context: RunContext, args: argparse.Namespace, hold: float) -> int:
    from gpuwatch_tray.app.gpu_wait import detach, refuse_impossible, wait_and_run
    from gpuwatch_tray.app.run_command import RunOptions
    from gpuwatch_tray.runs.gpu_choice import GpuWish

    if context.simulated:
        raise UsageError(_("the GPUs of a demo cannot be waited for"))
    timeout = None if args.timeout is None else _duration(args.timeout)
    wish = GpuWish(args.count, hold, args.memory, args.max_use, args.only)
    if args.detach:
        refuse_impossible(context, wish)  # from the background nobody would hear of it
        words = [word for word in sys.argv[1 : sys.argv.index("--")] if not _is_detach(word)]
        pid = detach([*host.this_program(), *words, "--", *args.argv])
        print(_("PID {pid} is waiting: `gpuwatch-tray runs` shows it, `kill {pid}` ends it").format(pid=pid))
        return 0
    options = RunOptions(tuple(args.argv), args.name)
    return wait_and_run(context, wish, options, timeout, complain)


def _is_detach(word: str) -> bool:
    """Tell whether a word is `--detach`, or short for it as argparse takes it: `--de` may be another."""
    return len(word) > len("--de") and "--detach".startswith(word)


def add_end_reminder(context: RunContext, args: argparse.Namespace) -> int:
    """Add a reminder for the end of a process on a GPU."""
    host_name, _colon, pid = args.pid.rpartition(":")
    number = positive_int(pid)
    if host_name:
        return _on_lab(context, lambda lab: add_lab_end(lab, host_name, number))
    return _operate(context, {"do": "when ends", "pid": number})


def _add_lab_free(context: RunContext, args: argparse.Namespace, hold: float) -> int:
    if args.argv:
        raise UsageError(_("a command can be run on this computer's GPUs only: leave out --on"))
    for option in _given(args, *OF_A_COMMAND):
        raise UsageError(_("{option} does not go with --on").format(option=option))
    return _on_lab(
        context,
        lambda lab: add_lab_free(lab, args.count, args.on, hold, memory=args.memory or 0, spread=args.spread),
    )


def _on_lab(context: RunContext, do: Callable[[RunContext], str]) -> int:
    """Do it on the lab's state, and say so where nobody watches the lab."""
    from gpuwatch_tray.app.context import lab_context
    from gpuwatch_tray.app.tray_client import lock_holder

    lab = lab_context(context)
    if lab is None:
        raise UsageError(_("there is no lab: lab.env names none"))
    print(do(lab))
    if not lock_holder(lab).pid:
        print(_(NOTHING_RUNS))
    return 0


def cancel_reminder(context: RunContext, args: argparse.Namespace) -> int:
    """Cancel a reminder."""
    of_lab = lab_number(args.id)
    if of_lab is not None:
        return _on_lab(context, lambda lab: cancel_lab_reminder(lab, int(of_lab)))
    return _operate(context, {"do": "when cancel", "id": int(args.id)}, needs_monitor=False)


def print_reminders(context: RunContext, _args: argparse.Namespace) -> int:
    """Print the reminders, those about the lab last."""
    of_lab = lab_reminder_lines(context)
    if not of_lab:
        return _operate(context, {"do": "when list"})
    said = operate(context, {"do": "when list"})["said"]
    print("\n".join(filter(None, [said, *of_lab])))
    return 0


def _operate(context: RunContext, request: Mapping[str, Any], *, needs_monitor: bool = True) -> int:
    from gpuwatch_tray.app.tray_client import lock_holder

    said = operate(context, request)["said"]
    print(said or _(NO_REMINDERS))
    if needs_monitor and said and not context.simulated and not lock_holder(context).pid:
        print(_(NOTHING_RUNS))
    return 0


def run_and_remind(context: RunContext, args: argparse.Namespace) -> int:
    """Run the command, report its end and return its exit code, as a shell has it."""
    from gpuwatch_tray.app.run_command import RunOptions, run

    words = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
    if not words:
        raise UsageError(_("when run needs a command: gpuwatch-tray when run -- python train.py"))
    options = RunOptions(tuple(words), args.name, args.log, tuple(args.attach))
    return run(context, options, complain, args.begun)


def process_place(text: str) -> str:
    """Parse a PID, or HOST:PID."""
    positive_int(text.rpartition(":")[2])
    return text


def reminder_number(text: str) -> str:
    """Parse the number of a reminder; L before it for one about the lab."""
    positive_int(lab_number(text) or text)
    return text


def add_commands(commands: CommandGroup) -> None:
    """Add `when` and its tasks."""
    _parser, tasks = commands.group(
        "when", _("notify you once: GPUs are free, a process has ended"), "when free 2", "when run -- make"
    )
    free = tasks.command(
        "free",
        add_free_reminder,
        _("notify you when N GPUs have no compute process, or run a command on them"),
        "when free 2 --for 5m",
        "when free 2 --on 'gpu*'",
        "when free 1 --memory 20G -- python train.py",
    )
    free.usage = "%(prog)s [OPTION]... N [-- COMMAND ARGUMENTS...]"
    free.add_argument("count", type=positive_int, metavar="N", help=_("how many GPUs"))
    free.add_argument("--for", dest="hold", metavar="DURATION", help=_("free for this long (default 60s)"))
    free.add_argument(
        "--memory",
        type=memory_size,
        metavar="SIZE",
        help=_("with this much memory free on each, such as 20G"),
    )
    free.add_argument(
        "--max-use", type=percent, metavar="PERCENT", help=_("with at most this utilisation on each")
    )
    free.add_argument("--on", metavar="HOSTS", help=_("on hosts of the lab, such as 'gpu*'; then not here"))
    free.add_argument("--spread", action="store_true", help=_("over several hosts, not all on one"))
    free.add_argument("--only", type=gpu_numbers, metavar="N,N", help=_("only these GPUs, by number"))
    free.add_argument("--timeout", metavar="DURATION", help=_("give up after this long, with exit code 124"))
    free.add_argument("--name", default="", help=_("a name for the run"))
    free.add_argument("--detach", action="store_true", help=_("wait and run in the background"))
    free.set_defaults(argv=[])
    ends = tasks.command(
        "ends", add_end_reminder, _("notify you when a GPU process ends"), "when ends 2943615"
    )
    ends.add_argument(
        "pid",
        type=process_place,
        metavar="[HOST:]PID",
        help=_("the number of the process, as `ps` shows it; after HOST: that of a host of the lab"),
    )
    run = tasks.command(
        "run",
        run_and_remind,
        _("run a command and notify you when it ends"),
        "when run -- python train.py",
    )
    run.usage = "%(prog)s [OPTION]... -- COMMAND ARGUMENTS..."
    run.add_argument("--name", default="", help=_("a name for it"))
    run.add_argument("--log", type=Path, metavar="FILE", help=_("write its whole output to FILE as well"))
    run.add_argument(
        "--attach",
        action="append",
        default=[],
        metavar="GLOB",
        help=_("files to attach to the mail"),
    )
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND ARGUMENTS...")
    tasks.command("list", print_reminders, _("list your pending reminders"), "when list")
    cancel = tasks.command("cancel", cancel_reminder, _("stop waiting"), "when cancel 3")
    cancel.add_argument("id", type=reminder_number, metavar="ID", help=_("the number that `when list` shows"))
