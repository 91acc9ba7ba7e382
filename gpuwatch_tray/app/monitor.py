"""The monitor of the tray and `watch`. A poller reads; a housekeeper goes on when a driver call hangs."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.app.bootstrap import BLIND_EVERY
from gpuwatch_tray.common.threads import PeriodicThread
from gpuwatch_tray.engine.status import stale, starting, with_notes
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Level, Popup, Problem, Severity, Snapshot, Status
from gpuwatch_tray.notify import outbox_process
from gpuwatch_tray.notify.outbox_process import MailHealth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gpuwatch_tray.app.bootstrap import RunContext
    from gpuwatch_tray.app.recorder import Recorder
    from gpuwatch_tray.engine import Engine, EvaluationResult, Policy
    from gpuwatch_tray.model import GpuSample
    from gpuwatch_tray.notify.outbox_process import OutboxProcess
    from gpuwatch_tray.notify.sinks import PopupSink
    from gpuwatch_tray.settings import ConfigProblem
    from gpuwatch_tray.sources import Source
    from gpuwatch_tray.store import OutboxSummary


log = logging.getLogger(__name__)

HOUSEKEEPING = 0.4  # seconds that its last round may take at the end
STATE_KEY = "state"  # of the popup
RECORDING = 0.4  # seconds that the last samples may take at the end


@dataclass(frozen=True, slots=True)
class Outputs:
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


class Monitor:
    """The loop of polls: `start`, then `check_now` at will, then `stop`."""

    def __init__(
        self,
        context: RunContext,
        source: Source,
        engine: Engine,
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
        self._housekeeper = PeriodicThread(self.housekeep, 1.0, "housekeeper", delay=1.0)
        self._lock = threading.Lock()
        self._status = self._shown = starting(time.time())
        self._evaluated: Snapshot | None = None  # the last that was evaluated, a blind one included
        self._trouble: str | None = None
        self.program_trouble = ""  # what is wrong with the program's own files
        self._health: defaultdict[str, MailHealth] = defaultdict(MailHealth, _health_of(outputs))
        self._displacement_told = False
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
            self._health = defaultdict(MailHealth, {**_health_of(self._outputs), **self._health})
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
        result = self._engine.evaluate(snapshot)
        with self._lock:
            self._status, self._trouble, self.is_stale = result.status, result.trouble, False
            self._evaluated = result.status.snapshot
        self._notify(result)
        if self._recorder is not None:
            self._recorder.record(snapshot, result.status.alerts)
        if self._outputs.on_snapshot is not None:
            self._outputs.on_snapshot(snapshot)

    def housekeep(self) -> None:
        """Check whether the data is too old and whether mail is to be sent; about once a second."""
        silence = self._poller.seconds_since_success()
        if silence > self._context.stale_after:
            if not self.is_stale:
                log.warning("no data for %.0f s: a read hangs or fails", silence)
                self._evaluated_blind_at = 0.0
            if self._monotonic() - self._evaluated_blind_at >= BLIND_EVERY or not self.is_stale:
                self._evaluated_blind_at = self._monotonic()
                self._evaluate_blind()
        changed = [process for process in self._outputs.outboxes if process.tick()]
        if changed:
            self._publish()
        popups = self._outputs.popups
        if popups is None:
            return
        for process in self._outputs.outboxes:
            health = self._health[process.channel]
            if process in changed or health.is_due(self._monotonic()):
                self._notify_health(health, process.waiting, popups)

    def _notify_health(self, health: MailHealth, waiting: OutboxSummary, popups: PopupSink) -> None:
        for key in health.closed_keys(waiting):
            popups.close(key)
        for popup in health.popups(waiting, self._monotonic()):

            def answered(shown: bool, key: str = popup.key) -> None:
                health.record_popup(key, self._monotonic(), shown=shown)

            if not popups.show(popup, answered):
                answered(shown=False)

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
        popups = self._outputs.popups
        if popups is None:
            return
        self._tell_displacement(result.displaced, popups)
        for popup, fingerprints in result.popups:
            self._show_alerts(popups, popup, fingerprints)
        for popup, numbers in result.reminder_popups:
            self._show_reminders(popups, popup, numbers)
        for key in result.closed_popups:
            popups.close(key)

    def _show_alerts(self, popups: PopupSink, popup: Popup, fingerprints: Sequence[str]) -> None:
        """Show a popup about alerts; one without an answer counts as shown, or each poll would repeat it."""

        def answered(shown: bool) -> None:
            if not shown:
                self._engine.record_popup(self._engine.alerts_of_popup(popup.key), shown=False)

        shown = popups.show(popup, answered)
        if fingerprints:
            self._engine.record_popup(fingerprints, shown=shown)

    def _show_reminders(self, popups: PopupSink, popup: Popup, numbers: Sequence[int]) -> None:
        """Show the popup of reminders: they stay on file until it is known that it was shown."""

        def answered(shown: bool) -> None:
            if numbers:
                self._engine.record_reminder_popup(numbers, shown=shown)

        if not popups.show(popup, answered):
            answered(shown=False)

    def _tell_displacement(self, why: str | None, popups: PopupSink) -> None:
        """Show once that the state's file cannot be written; take the popup away when it can."""
        if why is None:
            if self._displacement_told:
                popups.close(STATE_KEY)
            self._displacement_told = False
        elif not self._displacement_told:
            title = _("The state cannot be written")

            def answered(shown: bool) -> None:
                self._displacement_told = shown

            popup = Popup(STATE_KEY, title, why, Severity.WARNING)
            self._displacement_told = popups.show(popup, answered)

    def _publish(self) -> None:
        with self._lock:
            notes = self._notes()
            warn = bool(self._context.problems or self._trouble or self.program_trouble)
            self._shown = with_notes(self._status, notes, warn=warn)
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


def _health_of(outputs: Outputs) -> dict[str, MailHealth]:
    """Return what tells of the outbox of each chat, by channel."""
    return {process.channel: MailHealth(Channel(process.channel).chat) for process in outputs.chats}
