"""`runs`: what `when run` has run, how each ended and why, and its log."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.app.context import UsageError, WorkError
from gpuwatch_tray.app.run_command import LOG_READ, is_running
from gpuwatch_tray.cli.base import add_json, positive_int
from gpuwatch_tray.cli.printing import show
from gpuwatch_tray.common import redact
from gpuwatch_tray.common.text import align_columns
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model.units import duration, local_time, memory_text
from gpuwatch_tray.runs import Kind, Unseen
from gpuwatch_tray.runs.log_file import read_log
from gpuwatch_tray.runs.run_folder import RunFolder, record_to_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.cli.base import CommandGroup
    from gpuwatch_tray.runs.run_folder import RunRecord


SHOWN = 20  # runs of the list without --all
LONGEST_NAME = 48  # characters


def print_runs(context: RunContext, args: argparse.Namespace) -> int:
    """Print the runs, the latest first."""
    runs = RunFolder(context.settings.state)
    records = [_with_end(runs, record) for record in runs.records()]
    if args.json:
        print(json.dumps([record_to_json(record) for record in records], indent=2))
    elif not records:
        print(_("no runs yet: `gpuwatch-tray when run -- COMMAND` starts one"))
    else:
        head = (_("run"), _("started"), _("for"), _("exit"), _("what"))
        print("\n".join(align_columns([head, *map(_row, records[:SHOWN])], left=5)))
        if len(records) > SHOWN:
            print(_("and {count} more: runs --json").format(count=len(records) - SHOWN))
    return 0


def show_run(context: RunContext, args: argparse.Namespace) -> int:
    """Print what is known of a run."""
    runs, record = _find(context, args.number)
    record = _with_end(runs, record)
    if args.json:
        print(json.dumps(record_to_json(record), indent=2))
    else:
        show("\n".join(redact.one_line(line) for line in _lines(record)), hang=2)
    return 0


def print_log(context: RunContext, args: argparse.Namespace) -> int:
    """Write a run's log as it came, byte by byte; what was left out for its size is said in between."""
    runs, record = _find(context, args.number)
    try:
        kept = read_log(runs.folder(record.number))
    except OSError as error:
        raise WorkError(_("the log of run {number} is gone").format(number=record.number)) from error
    out = sys.stdout.buffer
    out.write(kept.head)
    if kept.left_out:
        out.flush()
        print(_("\n[{count} bytes were left out here]").format(count=kept.left_out), flush=True)
    out.write(kept.tail)
    out.flush()
    return 0


def _find(context: RunContext, number: int) -> tuple[RunFolder, RunRecord]:
    runs = RunFolder(context.settings.state)
    record = runs.read(number)
    if record is None:
        text = _("there is no run {number}: `gpuwatch-tray runs` lists them")
        raise UsageError(text.format(number=number))
    return runs, record


def _with_end(runs: RunFolder, record: RunRecord) -> RunRecord:
    """Explain the end of a run whose `when run` was killed: the log is there all the same."""
    if record.ended is not None or is_running(record):
        return record
    if record.waits:
        never = _("it never started: the wait for {what} was ended").format(what=record.waits)
        return replace(record, kind=Kind.UNKNOWN.value, sentence=never)
    from gpuwatch_tray.runs.explanation import explain_end

    try:
        log = read_log(runs.folder(record.number)).end(LOG_READ)
    except OSError:
        log = b""
    cause = explain_end(log, Unseen())
    return replace(
        record,
        kind=cause.kind.value,
        sentence=cause.sentence,
        evidence=cause.evidence,
        fix=cause.fix,
        confidence=cause.confidence.value,
    )


def _row(record: RunRecord) -> tuple[str, ...]:
    code = "" if record.code is None else str(record.code)
    if record.ended is not None:
        ran, why = duration(record.seconds or 0.0), record.sentence if record.code else ""
    else:
        ran, why = "", _present(record) if not record.kind else record.sentence
    called = redact.visible(record.called)
    if len(called) > LONGEST_NAME:
        called = f"{called[: LONGEST_NAME - 1]}…"
    what = f"{called}: {why}" if why else called
    return str(record.number), local_time(record.began, "%m-%d %H:%M"), ran, code, what


def _present(record: RunRecord) -> str:
    return _("waits for {what}").format(what=record.waits) if record.waits else _("running")


def _lines(record: RunRecord) -> Iterator[str]:
    if record.name:
        yield _("name: {name}").format(name=record.name)
    yield _("command: {command}").format(command=record.command)
    yield _("folder: {folder}").format(folder=record.folder)
    yield _("started: {time}").format(time=local_time(record.began))
    if record.ended is not None:
        yield _("ended: {time}, after {duration}").format(
            time=local_time(record.ended), duration=duration(record.seconds or 0.0)
        )
        yield _("exit code: {code}").format(code=record.code)
    elif not record.kind:
        yield f"{_present(record)}, PID {record.pid}"
        return
    yield _("why: {sentence}").format(sentence=record.sentence)
    if record.fix:
        yield _("fix: {fix}").format(fix=record.fix)
    if record.evidence:
        yield _("seen in: {line}").format(line=record.evidence)
    if record.gpus:
        yield _("on: {gpus}").format(gpus=", ".join(record.gpus))
    if record.peak_gpu_memory is not None:
        yield _("peak GPU memory: {memory}").format(memory=memory_text(record.peak_gpu_memory))
    if record.peak_memory is not None:
        text = _("peak memory of its largest process: {memory}")
        yield text.format(memory=memory_text(record.peak_memory))
    if record.log_lost:
        yield _("{count} bytes of its log could not be written").format(count=record.log_lost)
    yield _("its log: gpuwatch-tray runs log {number}").format(number=record.number)


def add_commands(commands: CommandGroup) -> None:
    """Add `runs` and its tasks."""
    parser, tasks = commands.group(
        "runs", _("what `when run` started, and why it ended"), "runs", "runs log 12", body=print_runs
    )
    add_json(parser)
    show = tasks.command("show", show_run, _("everything known about a run"), "runs show 12")
    add_json(show, again=True)
    log = tasks.command("log", print_log, _("its log, unchanged"), "runs log 12")
    for task in (show, log):
        task.add_argument("number", type=positive_int, metavar="N", help=_("the number that `runs` shows"))
