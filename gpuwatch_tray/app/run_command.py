"""
`when run`: a command with a log that is there before it starts, and the notice of its end and its cause.

Nothing here may change how the command runs or what it ends with: what fails of the rest is one line on
standard error.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from gpuwatch_tray.alerts.reminder_types import RunReport, report_from_json
from gpuwatch_tray.app.bootstrap import (
    AlreadyRunningError,
    acquire_store,
    create_engine,
    deliver_command,
    open_store,
)
from gpuwatch_tray.app.context import WorkError, open_source, read_once
from gpuwatch_tray.app.early_start import BegunRun, RunWords
from gpuwatch_tray.app.run_facts import join_facts
from gpuwatch_tray.app.tray_client import request_or_use_store, try_request
from gpuwatch_tray.common import host, redact
from gpuwatch_tray.common.child import NOT_EXECUTABLE, StartError
from gpuwatch_tray.common.oom import HostWatch
from gpuwatch_tray.common.run_log import RunLog
from gpuwatch_tray.engine.operations import Reminders, shown_command
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.ipc.lock import LockError
from gpuwatch_tray.model.units import memory_text
from gpuwatch_tray.runs import Exited, Kind, Signalled
from gpuwatch_tray.runs.log_file import last_lines, read_log
from gpuwatch_tray.runs.observed import observed_json
from gpuwatch_tray.runs.run_folder import RunFolder, RunRecord
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.runs import End
    from gpuwatch_tray.store import Store


log = logging.getLogger(__name__)

FAILURES = (WorkError, StoreError, LockError, OSError)
NOBODY_TO_TELL = N_("nothing is watching and no mail is set up: you will be notified once gpuwatch-tray runs")
LOG_READ = 512 * 1024  # bytes of the log's end in which the cause is looked for
STARTS_WITHIN = 60.0  # seconds between a run's folder and its process, on a machine that swaps
FACTS_WITHIN = 4.0  # seconds for the running program to read the GPUs once more


class RunOptions(Struct, frozen=True):
    """How a command is to be run; `environ` is added to this process's own."""

    argv: tuple[str, ...]
    name: str = ""
    log: Path | None = None  # a file that gets the whole output as well
    attachments: tuple[str, ...] = ()  # patterns of files that go with the mail
    environ: Mapping[str, str] = field(default_factory=dict)
    record: RunRecord | None = None  # that was made while it waited

    @property
    def shown_name(self) -> str:
        """What may be shown of the name, in one line."""
        return shown_command((self.name,)) if self.name else ""


def run(
    context: RunContext,
    options: RunOptions,
    complain: Callable[[str], None],
    begun: BegunRun | None = None,
    *,
    folder: str = "",
) -> int:
    """
    Run the command, report its end and return its exit code, as a shell has it; errors change neither.

    `begun` is one that runs already; `folder` that of a run that has waited, which is in its options' record.
    """
    complain = _unheard(complain)
    recorder = RunRecorder(context, options, complain)
    if begun is None:
        words = RunWords(options.argv, options.name, str(options.log or ""), options.attachments)
        state = None if context.simulated else str(context.settings.state)
        begun = BegunRun(words, state, recorder.environ, folder)
    _guard(complain, lambda: recorder.adopt(begun))
    command = begun.command
    if command is None:
        begun.finished = True
        error = begun.error or StartError("", NOT_EXECUTABLE)
        complain(str(error))
        _guard(complain, lambda: recorder.finish(Exited(error.code), error.code, 0.0, str(error).encode()))
        return error.code
    _guard(complain, lambda: recorder.announce(command.pid))
    code = command.wait()
    begun.finished = True
    end = Signalled(command.ended_by) if command.ended_by else Exited(code)
    _guard(complain, lambda: recorder.finish(end, code, command.seconds))
    return code


def _unheard(complain: Callable[[str], None]) -> Callable[[str], None]:
    """Return a function that complains where somebody reads it: a closed or full output ends no run."""

    def say(text: str) -> None:
        try:
            complain(text)
        except OSError as error:
            log.info("standard error takes nothing any more: %s", error)
            # What it still holds would fail once more at the interpreter's exit, and change the exit code.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    return say


def _guard(complain: Callable[[str], None], tell: Callable[[], None]) -> None:
    """Do what tells of the run; an error in it that nobody foresaw is a line, for the run is not ours."""
    try:
        tell()
    except Exception as error:
        log.exception("unexpected", extra={"in_file_only": True})
        text = _("not all of this run is told: {kind}: {error}")
        complain(text.format(kind=type(error).__name__, error=redact.text(str(error))))


class RunRecorder:
    """
    The log, the record and the report of one run.

    Whoever runs it calls `adopt`, or `open_log` and `write` with its output; then `announce`, once it has a
    PID, and `finish`.
    """

    def __init__(self, context: RunContext, options: RunOptions, complain: Callable[[str], None]) -> None:
        self._context = context
        self._options = options
        self._complain = complain
        self.environ = {**os.environ, **options.environ}
        self._runs = RunFolder(context.settings.state)
        self._record = options.record or RunRecord(0, shown_command(options.argv), options.shown_name)
        self._begun: BegunRun | None = None
        self._log: RunLog | None = None  # that is written here
        self._logs: Path | None = None  # the folder with the log
        self._lasting = False  # whether it is that of a run
        self._reminder: int | None = None
        self._watch = HostWatch()
        self._folder = _current_folder()

    def open_log(self) -> None:
        """Make the run's folder and log, which is written here; without one it goes on all the same."""
        if self._context.simulated:
            return
        try:
            self._record, self._logs = self._runs.create(self._record.command)
            self._log, self._lasting = RunLog(self._logs), True
        except OSError as error:
            self._complain(_("no log of this run is kept: {error}").format(error=error))
        self._begin_record(time.time())

    def adopt(self, begun: BegunRun) -> None:
        """Go on with a run that was begun: its log is there, and what failed of it is told now."""
        self._begun, self._watch = begun, begun.host
        if begun.log_error is not None:
            self._complain(_("no log of this run is kept: {error}").format(error=begun.log_error))
        if begun.copy_error is not None:
            text = _("{file}: not written: {error}")
            self._complain(text.format(file=self._options.log, error=begun.copy_error.strerror))
        self._logs, self._lasting = Path(begun.folder) if begun.folder else None, begun.lasting
        if begun.number:
            self._record = replace(self._record, number=begun.number)
        self._begin_record(begun.began)

    def _begin_record(self, began: float) -> None:
        options = self._options
        self._change_record(
            name=options.shown_name,
            folder=self._folder,
            began=began,
            attachments=options.attachments,
            waits="",
        )

    def write(self, data: bytes) -> None:
        """Append to the log that is written here."""
        if self._log is not None:
            self._log.write(data)

    def announce(self, pid: int) -> None:
        """Store the reminder: the end is then told even if this process is killed."""
        from gpuwatch_tray.sources.processes import process_identity  # late: the command is to start soon

        identity, boot = process_identity(pid)
        self._change_record(pid=pid, identity=identity, boot=boot)
        name = self._record.called

        def on_store(store: Store) -> dict[str, Any]:
            policy = self._context.policy.routing
            if not policy.tells_somebody:
                self._complain(_(NOBODY_TO_TELL))
            return {"id": Reminders(store, host.now).add_command(pid, identity, boot, name)}

        request = {"do": "when run", "pid": pid, "identity": identity, "boot": boot, "called": name}
        try:
            self._reminder = int(request_or_use_store(self._context, request, on_store)["id"])
        except FAILURES as error:
            self._complain(_("the end of this command will not be reported: {error}").format(error=error))

    def finish(
        self, end: End, code: int, seconds: float, said: bytes = b"", output: Sequence[str] | None = None
    ) -> None:
        """
        Find out why it ended, write it down and report it.

        `said` stands for the end of the log, `output` for its last lines.
        """
        self._tell_of_the_output()
        log = self._log_end()
        if output is None:
            output = last_lines(log)
        observed = self._observed(failed=code != 0)
        report = self._write_end(end, code, seconds, observed, output, said or log)
        if self._reminder is not None:
            request = {"do": "when ran", "id": self._reminder, "code": code, "seconds": seconds}
            self._report({**request, "output": list(output), "report": asdict(report)})

    def _tell_of_the_output(self) -> None:
        """Tell what happened to the output meanwhile."""
        if self._log is not None:
            self._log.close()
        command = None if self._begun is None else self._begun.command
        if command is not None and command.copy_trouble:
            text = _("{file}: no longer written: {error}")
            why = os.strerror(command.copy_trouble)
            self._complain(text.format(file=self._options.log, error=why))
        if command is not None and not command.relayed:
            self._complain(_("the process that passed on the output was ended: some of it may be missing"))

    @property
    def _lost(self) -> int:
        """The bytes that the log did not take."""
        if self._log is not None:
            return self._log.lost
        command = None if self._begun is None else self._begun.command
        return 0 if command is None else command.lost

    def _observed(self, *, failed: bool) -> Mapping[str, Any]:
        """Return what the running program has seen; where none runs, what the driver says of a failure."""
        try:
            request = {"do": "run facts", "id": self._reminder or 0, "read": failed}
            answer = try_request(self._context, request, FACTS_WITHIN)
            if answer is not None or self._context.simulated or not failed:
                return answer or {}
            with closing(open_source(self._context)) as source:
                return observed_json(None, read_once(self._context, source))
        except FAILURES as error:
            log.info("nothing is known of the GPUs at the end of the run: %s", error)
            return {}

    def _write_end(
        self,
        end: End,
        code: int,
        seconds: float,
        observed: Mapping[str, Any],
        output: Sequence[str],
        log: bytes,
    ) -> RunReport:
        """Find the cause, and write it down."""
        from gpuwatch_tray.runs.explanation import explain_end

        now = time.time()
        facts = join_facts(observed, self._watch, self.environ, self._options.argv, self._folder, now)
        cause = explain_end(log, end, facts)
        on = tuple(gpu.name for gpu in facts.gpus) if observed.get("devices") else ()
        memory = _peak_memory()
        self._change_record(
            ended=now,
            seconds=seconds,
            code=code,
            output=tuple(output),
            gpus=on,
            peak_gpu_memory=observed.get("peak"),
            peak_memory=memory,
            kind=cause.kind.value,
            sentence=cause.sentence,
            evidence=cause.evidence,
            fix=cause.fix,
            confidence=cause.confidence.value,
            log_lost=self._lost,
        )
        details = []
        if on:
            details.append(_("on {gpus}").format(gpus=", ".join(on)))
        if memory is not None:
            details.append(
                _("peak memory of its largest process: {memory}").format(memory=memory_text(memory))
            )
        if code and cause.kind is not Kind.UNKNOWN:  # of an unknown one it is among the last lines
            details += filter(None, [cause.evidence])
        if self._lasting:
            self._clear_old()
            if code:
                text = _("its log: gpuwatch-tray runs log {number}")
                details.append(text.format(number=self._record.number))
        devices = tuple(map(str, observed.get("devices", ())))
        number, quoted = self._record.number, cause.evidence
        return RunReport(number, cause.sentence, cause.fix, tuple(details), devices, quoted)

    def _log_end(self) -> bytes:
        if self._logs is None:
            return b""
        try:
            return read_log(self._logs).end(LOG_READ)
        except OSError as error:
            log.info("the log of the run cannot be read: %s", error)
            return b""
        finally:
            if not self._lasting:
                shutil.rmtree(self._logs, ignore_errors=True)

    def _change_record(self, **changes: Any) -> None:
        self._record = replace(self._record, **changes)
        if not self._lasting:
            return
        try:
            self._runs.write(self._record)
        except OSError as error:
            log.warning("the record of the run cannot be written: %s", error)

    def _clear_old(self) -> None:
        try:
            self._runs.clear(is_running)
        except OSError as error:
            log.info("old runs are kept: %s", error)

    def _report(self, request: dict[str, Any]) -> None:
        """Report through the running program; where none runs, mail as it would without a desktop."""
        context = self._context
        try:
            try:
                if try_request(context, request) is not None:
                    return
            except WorkError as error:
                log.info("%s", error)  # the running program finds it in the store
            try:
                with acquire_store(context, "when run") as lease:
                    recorded = record_end(lease.store, request)
                    if recorded and create_engine(context, lease.store, in_loop=False).mail_due_reminders():
                        _deliver(context)
            except AlreadyRunningError:
                with closing(open_store(context)) as store:
                    record_end(store, request)
        except FAILURES as error:
            self._complain(_("the end of this command could not be reported: {error}").format(error=error))


def is_running(record: RunRecord) -> bool:
    """Tell whether a run goes on: its end was not written, and its process is still that one."""
    if record.ended is not None:
        return False
    if not record.pid:  # it is being started
        return 0 <= time.time() - record.began < STARTS_WITHIN
    from gpuwatch_tray.sources.processes import is_alive

    return is_alive(record.pid, record.identity) is True


def record_end(store: Store, request: Mapping[str, Any]) -> bool:
    """Complete the reminder of a command by what its `when run` reports; False where nobody waits for it."""
    return Reminders(store, host.now).report_command(
        int(request["id"]),
        int(request["code"]),
        float(request["seconds"]),
        tuple(map(str, request["output"])),
        report_from_json(request.get("report")),
    )


def _current_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # somebody has deleted it
        return ""


def _peak_memory() -> int | None:
    """Return the most memory (bytes) that the largest of the ended children had; None where not told."""
    peak: int | None = None
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, KiB elsewhere
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    return peak


def _deliver(context: RunContext) -> None:
    """Start a child that sends the mail: the command's caller need not wait for the server."""
    subprocess.Popen(
        deliver_command(context),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
