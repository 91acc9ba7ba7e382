"""The monitor of the tray and `watch`. A poller reads; a housekeeper goes on when a driver call hangs."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.app.context import BLIND_EVERY
from gpuwatch_tray.app.telling import ResultTeller
from gpuwatch_tray.common.threads import PeriodicThread
from gpuwatch_tray.engine.status import stale, starting, with_lab, with_notes, without_gpus
from gpuwatch_tray.export.reading_tally import ReadingTally
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Level, Problem, Snapshot, Status
from gpuwatch_tray.notify import outbox_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.app.recorder import Recorder
    from gpuwatch_tray.engine import EvaluationResult, HostEngine, Policy
    from gpuwatch_tray.model import GpuSample, LabStatus, Limits
    from gpuwatch_tray.notify.outbox_process import OutboxProcess
    from gpuwatch_tray.notify.sinks import PopupSink
    from gpuwatch_tray.settings import ConfigProblem
    from gpuwatch_tray.sources import Source


log = logging.getLogger(__name__)

# Seconds between two rounds of the housekeeper: while there is something to look after, and at rest. What is
# queued wakes it; the clock may be set, or the machine sleep, while a mail waits for its time.
HOUSEKEEP_EVERY, HOUSEKEEP_AT_REST = 2.0, 20.0
HOUSEKEEPING = 0.4  # seconds that its last round may take at the end
RECORDING = 0.4  # seconds that the last samples may take at the end


class Outputs(Struct, frozen=True):
    """Where the results go; `report_trouble` describes trouble to a second instance."""

    show_status: Callable[[Status], None]
    popups: PopupSink | None = None
    mail: OutboxProcess | None = None
    report_trouble: Callable[[str | None], None] | None = None
    on_snapshot: Callable[[Snapshot], None] | None = None
    chats: tuple[OutboxProcess, ...] = ()

    @property
    def outboxes(self) -> tuple[OutboxProcess, ...]:
        """What sends, the mail first."""
        return (*([] if self.mail is None else [self.mail]), *self.chats)


def housekeeping_rest(left: float, outboxes: Iterable[OutboxProcess]) -> float:
    """Return the seconds to the housekeeper's next round; the data is too old in `left` seconds."""
    soonest = min([left, *(outbox.idle_for for outbox in outboxes)])
    return min(max(soonest, HOUSEKEEP_EVERY), HOUSEKEEP_AT_REST)


class Monitor:
    """The loop of polls: `start`, then `check_now` at will, then `stop`."""

    def __init__(
        self,
        context: RunContext,
        source: Source,
        engine: HostEngine,
        outputs: Outputs,
        monotonic: Callable[[], float] = time.monotonic,
        recorder: Recorder | None = None,
    ) -> None:
        self._context = context
        self._source = source
        self._engine = engine
        self._outputs = outputs
        self._monotonic = monotonic
        self._recorder = recorder
        self._poller = PeriodicThread(self._poll, context.settings.poll, "poller", clock=monotonic)
        self._housekeeper = PeriodicThread(self.housekeep, HOUSEKEEP_EVERY, "housekeeper", delay=1.0)
        self._lock = threading.Lock()
        self._status = self._shown = starting(time.time())
        self._lab: LabStatus | None = None
        self._evaluated: Snapshot | None = None  # the last that was evaluated, a blind one included
        self.tally = ReadingTally(time.time())
        self._trouble: str | None = None
        self.program_trouble = ""  # what is wrong with the program's own files
        self._teller = ResultTeller(engine, outputs.popups, monotonic)
        self.is_stale = False  # whether the last snapshot is too old to be the state of things
        self._evaluated_blind_at = 0.0
        self._reported: str | None = None

    def start(self) -> None:
        """Show that the first poll is under way, and poll."""
        self._publish()
        self._poller.start()
        self._housekeeper.start()
        if self._recorder is not None:
            self._recorder.start()

    def check_now(self) -> None:
        """Poll now."""
        self._poller.run_now()

    def reconfigure(
        self,
        context: RunContext,
        policy: Policy,
        mail: OutboxProcess | None,
        chats: tuple[OutboxProcess, ...] = (),
    ) -> None:
        """Apply these settings and poll at once; a sending process in use is kept where its channel is."""
        self._engine.reconfigure(policy, context.mail_identity)
        with self._lock:
            self._context = context
            before = {process.channel: process for process in self._outputs.chats}
            kept = tuple(before.get(process.channel, process) for process in chats)
            used = None if mail is None else self._outputs.mail or mail
            self._outputs = replace(self._outputs, mail=used, chats=kept)
        if self._recorder is not None:
            self._recorder.reconfigure(context.settings.limits, context.stale_after)
        self.send_mails_now()
        self._publish()
        self._poller.reconfigure(context.settings.poll)

    def set_problems(self, problems: tuple[ConfigProblem, ...]) -> None:
        """Show what is wrong in the new settings; the old ones hold."""
        with self._lock:
            self._context = replace(self._context, problems=problems)
        self._publish()

    def set_program_trouble(self, trouble: str) -> None:
        """Show what is wrong with the program's own files; empty for nothing."""
        self.program_trouble = trouble
        self._publish()

    @property
    def status(self) -> Status:
        """The status that is shown at present."""
        return self._shown

    def send_mails_now(self) -> None:
        """Have the outbox read at once: somebody has changed it."""
        for process in self._outputs.outboxes:
            process.kick()
        self._housekeeper.run_now()

    @property
    def mails_waiting(self) -> int:
        """How many mails wait in the outbox."""
        return 0 if self._outputs.mail is None else self._outputs.mail.waiting.count

    @property
    def chats_waiting(self) -> dict[str, int]:
        """How many messages wait for each chat, where some do."""
        counts = {Channel(process.channel).chat: process.waiting.count for process in self._outputs.chats}
        return {name: count for name, count in counts.items() if count}

    def flush_samples(self, timeout: float) -> bool:
        """Write all samples up to the last whole minute; False where that takes longer, or none are taken."""
        return self._recorder is not None and self._recorder.flush(timeout)

    def listen_to_minutes(self, on_minute: Callable[[Iterable[GpuSample]], None]) -> None:
        """Have `on_minute` called with the samples of each minute that ends, on the recorder's thread."""
        if self._recorder is not None:
            self._recorder.on_minute = on_minute

    @property
    def poll(self) -> float:
        """The seconds between two polls."""
        return self._context.settings.poll

    @property
    def limits(self) -> Limits:
        """The limits of the settings in force."""
        return self._context.settings.limits

    @property
    def evaluated(self) -> Snapshot | None:
        """The last snapshot, with the GPUs of the inventory; with a problem while no reading comes back."""
        with self._lock:
            return self._evaluated

    def explain(self) -> tuple[str, ...]:
        """Say of each rule what it makes of the last snapshot, and what will be sent, when and why."""
        with self._lock:
            snapshot = self._evaluated
        return (_("nothing has been read yet"),) if snapshot is None else self._engine.explain(snapshot)

    def stop(self, timeout: float) -> bool:
        """End both threads; False when the poller is stuck in the driver, which is then left alone."""
        self._poller.stop(0.0)  # no further read begins
        self._source.close()  # a read under way returns, and a program that it runs is ended
        self._housekeeper.stop(HOUSEKEEPING)
        ended = self._poller.stop(timeout)
        if self._recorder is not None:
            self._recorder.stop(RECORDING)
        for process in self._outputs.outboxes:
            process.kick()
            process.tick()  # what was queued last need not wait for the next start
        return ended

    def _poll(self) -> None:
        self.on_snapshot(self._source.read())

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Evaluate `snapshot`, and hand on what came of it; on the poller's thread."""
        if self._is_bare_desk(snapshot):
            with self._lock:
                self._status, self.is_stale = without_gpus(snapshot), False
            self._publish()
            return
        result = self._engine.evaluate(snapshot)
        if result.status.snapshot is not None:
            self.tally.add(result.status.snapshot)
        with self._lock:
            self._status, self._trouble, self.is_stale = result.status, result.trouble, False
            self._evaluated = result.status.snapshot
        if self._recorder is not None:  # before the main thread wakes, which would take turns with it
            self._recorder.record(snapshot, result.status.alerts)
        self._notify(result)
        if self._outputs.on_snapshot is not None:
            self._outputs.on_snapshot(snapshot)

    def _is_bare_desk(self, snapshot: Snapshot) -> bool:
        """Whether a lab is watched from a computer without GPUs of its own: that is no fault to alert of."""
        problem = snapshot.problem
        lab = self._context.settings.lab.configured
        return lab and problem is not None and problem.no_driver and not self._engine.knows_devices

    def set_lab(self, lab: LabStatus | None) -> None:
        """Show the lab beside this computer; None where there is none."""
        with self._lock:
            self._lab = lab
        self._publish()

    def housekeep(self) -> float:
        """Check whether the data is too old and whether mail is to be sent; the seconds to the next time."""
        silence = self._poller.seconds_since_success()
        if silence > self._context.stale_after:
            if not self.is_stale:
                log.warning("no data for %.0f s: a read hangs or fails", silence)
            if not self.is_stale or self._monotonic() - self._evaluated_blind_at >= BLIND_EVERY:
                self._evaluated_blind_at = self._monotonic()
                self._evaluate_blind()
        changed = [process for process in self._outputs.outboxes if process.tick()]
        if changed:
            self._publish()
        for process in self._outputs.outboxes:
            self._teller.tell_mail_health(
                process.waiting, changed=process in changed, channel=process.channel
            )
        return housekeeping_rest(self._context.stale_after - silence, self._outputs.outboxes)

    def _evaluate_blind(self) -> None:
        """Evaluate that nothing can be read: the poller cannot, as it waits for the driver."""
        problem = Problem(_("reading the GPUs hangs"), _("see whether `nvidia-smi` hangs too"))
        blind = Snapshot(self._source.name, time.time(), problem=problem)
        result = self._engine.evaluate(blind)
        with self._lock:
            self._evaluated = blind
            last = self._status if self.is_stale else stale(self._status)
            self._status = replace(last, alerts=result.status.alerts, in_use=None)
            self._trouble, self.is_stale = result.trouble, True
        self._notify(result)

    def _notify(self, result: EvaluationResult) -> None:
        self._publish()
        if result.mails and self._outputs.mail is not None:
            self._outputs.mail.kick()
        told = {channel.value for channel in result.chats}
        for process in self._outputs.chats:
            if process.channel in told:
                process.kick()
        if result.mails or told:
            self._housekeeper.run_now()
        self._teller.tell(result)

    def _publish(self) -> None:
        with self._lock:
            notes = self._notes()
            warn = bool(self._context.problems or self._trouble or self.program_trouble)
            self._shown = with_lab(with_notes(self._status, notes, warn=warn), self._lab)
            self._outputs.show_status(self._shown)
            trouble = self._trouble or self.program_trouble or None
            if self._status.level is Level.NO_DATA:
                trouble = self._status.headline
        if self._outputs.report_trouble is not None and trouble != self._reported:
            self._reported = trouble
            self._outputs.report_trouble(trouble)

    def _notes(self) -> Sequence[str]:
        notes = [str(problem) for problem in self._context.problems]
        notes += self._context.settings.warnings
        if self._trouble is not None:
            notes.append(self._trouble)
        if self.program_trouble:
            notes.append(self.program_trouble)
        if self._recorder is not None and self._recorder.trouble is not None:
            notes.append(self._recorder.trouble)
        if self._context.simulated:
            notes.append(_("Simulated GPUs: GPU_LIMIT is 1 here, and nothing is mailed"))
        elif not self._context.settings.to_email and not self._context.settings.chats:
            notes.append(_("Email is off: {why}").format(why=self._context.settings.no_recipient))
        elif self._outputs.mail is not None:
            notes += outbox_process.mail_notes(self._outputs.mail.waiting, time.time())
        for process in self._outputs.chats:
            name = Channel(process.channel).chat
            notes += outbox_process.chat_notes(name, process.waiting, time.time())
        return notes
