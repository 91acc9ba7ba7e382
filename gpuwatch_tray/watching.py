"""
What the tray and `watch` have in common: each snapshot is evaluated, shown, popped up and mailed.

Two threads work here: the poller's (`use`) and the housekeeper's (`keep`), which goes on when a driver
call hangs. Whatever they find goes to `show` as one Status.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpuwatch_tray import mailtrouble
from gpuwatch_tray.language import _
from gpuwatch_tray.mailtrouble import MailHealth
from gpuwatch_tray.model import Level, Problem, Snapshot, Status
from gpuwatch_tray.poller import PeriodicThread
from gpuwatch_tray.status import stale, starting, with_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.context import RunContext
    from gpuwatch_tray.courier import OutboxProcess
    from gpuwatch_tray.evaluator import Engine, EvaluationResult, Policy
    from gpuwatch_tray.notifiers import PopupSink
    from gpuwatch_tray.recording import Recorder
    from gpuwatch_tray.settings import ConfigProblem
    from gpuwatch_tray.sources import Source
    from gpuwatch_tray.store import OutboxSummary

log = logging.getLogger(__name__)

HOUSEKEEPING = 0.4  # seconds that its last round may take at the end
RECORDING = 0.4  # seconds that the last samples may take at the end
BLIND_EVERY = 5.0  # seconds between evaluations while no reading comes back


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the results go: the status always, popups where there is a desktop, mail where it is set up."""

    show: Callable[[Status], None]
    popups: PopupSink | None = None
    courier: OutboxProcess | None = None
    report: Callable[[str | None], None] | None = None  # tells those who come second of any trouble
    see: Callable[[Snapshot], None] | None = None  # is given each reading, once all is told about it


class Monitor:
    """The loop: `start`, then `check_now` at will, then `stop`."""

    def __init__(
        self,
        setup: RunContext,
        source: Source,
        engine: Engine,
        faces: Outputs,
        monotonic: Callable[[], float] = time.monotonic,
        recorder: Recorder | None = None,
    ) -> None:
        self._setup = setup
        self._source = source
        self._engine = engine
        self._faces = faces
        self._monotonic = monotonic
        self._recorder = recorder
        self._poller = PeriodicThread(self._poll, setup.settings.poll, "poller", clock=monotonic)
        self._housekeeper = PeriodicThread(self.keep, 1.0, "housekeeper", delay=1.0)
        self._lock = threading.Lock()
        self._status = self._shown = starting(time.time())
        self._judged: Snapshot | None = None  # the last that was evaluated, a blind one included
        self._trouble: str | None = None
        self._mail_health = MailHealth()
        self._is_stale = False
        self._blind_at = 0.0
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

    def adopt(self, setup: RunContext, policy: Policy, courier: Callable[[], OutboxProcess | None]) -> None:
        """
        Go by these settings from now on, and look at once.

        `courier` makes the way to the outbox, None where nobody is mailed; one that is under way is kept.
        """
        self._engine.reconfigure(policy, setup.mail_identity)
        allowed = courier()
        with self._lock:
            self._setup = setup
            kept = self._faces.courier or allowed
            self._faces = replace(self._faces, courier=None if allowed is None else kept)
        if self._recorder is not None:
            self._recorder.reconfigure(setup.settings.limits, setup.stale_after)
        self.look_at_mails()
        self._publish()
        self._poller.reconfigure(setup.settings.poll)

    def complain(self, problems: tuple[ConfigProblem, ...]) -> None:
        """The new settings are wrong, in this; the old ones hold."""
        with self._lock:
            self._setup = replace(self._setup, problems=problems)
        self._publish()

    @property
    def shown(self) -> Status:
        """What is shown at present."""
        return self._shown

    def look_at_mails(self) -> None:
        """The outbox was changed by hand: look at once."""
        if self._faces.courier is not None:
            self._faces.courier.kick()

    @property
    def is_stale(self) -> bool:
        """Whether the last reading is too old to be the state of things."""
        return self._is_stale

    @property
    def mails_waiting(self) -> int:
        """How many mails wait in the outbox."""
        return 0 if self._faces.courier is None else self._faces.courier.waiting.count

    def members(self, key: str) -> tuple[str, ...]:
        """The alerts that the popup with this key tells of."""
        return self._engine.alerts_of_popup(key)

    def record_all(self, timeout: float) -> bool:
        """Write all samples up to the last whole minute; False where that takes longer, or none are taken."""
        return self._recorder is not None and self._recorder.flush(timeout)

    def explain(self) -> tuple[str, ...]:
        """Each rule on the last reading, and what will be told of its alerts when and why."""
        with self._lock:
            snapshot = self._judged
        return (_("nothing has been read yet"),) if snapshot is None else self._engine.explain(snapshot)

    def stop(self, timeout: float) -> bool:
        """End both threads; False when the poller is stuck in the driver, which is then left alone."""
        self._poller.stop(0.0)  # no further read begins
        self._source.close()  # a read under way returns, and a program that it runs is ended
        self._housekeeper.stop(HOUSEKEEPING)
        ended = self._poller.stop(timeout)
        if self._recorder is not None:
            self._recorder.stop(RECORDING)
        if self._faces.courier is not None:
            self._faces.courier.kick()
            self._faces.courier.tick()  # what was queued last need not wait for the next start
        return ended

    def _poll(self) -> None:
        self.use(self._source.read())

    def use(self, snapshot: Snapshot) -> None:
        """One snapshot, on the poller's thread."""
        outcome = self._engine.evaluate(snapshot)
        with self._lock:
            self._status, self._trouble, self._is_stale = outcome.status, outcome.trouble, False
            self._judged = outcome.status.snapshot
        self._tell(outcome)
        if self._recorder is not None:
            self._recorder.record(snapshot, outcome.status.alerts)
        if self._faces.see is not None:
            self._faces.see(snapshot)

    def keep(self) -> None:
        """About once a second: is the data too old, and is there mail to send."""
        silence = self._poller.seconds_since_success()
        if silence > self._setup.stale_after:
            if not self._is_stale:
                log.warning("no data for %.0f s: a read hangs or fails", silence)
                self._blind_at = 0.0
            if self._monotonic() - self._blind_at >= BLIND_EVERY or not self._is_stale:
                self._blind_at = self._monotonic()
                self._go_blind()
        if self._faces.courier is not None and self._faces.courier.tick():
            self._publish()
            if self._faces.popups is not None:
                self._tell_of_mails(self._faces.courier.waiting, self._faces.popups)

    def _tell_of_mails(self, waiting: OutboxSummary, popups: PopupSink) -> None:
        for key in self._mail_health.closed_keys(waiting):
            popups.close(key)
        for popup in self._mail_health.popups(waiting):
            popups.show(popup)

    def _go_blind(self) -> None:
        """Evaluate that nothing can be read: somebody has to be told, and the poller cannot."""
        problem = Problem(_("the reading does not come back"), _("see whether `nvidia-smi` hangs too"))
        blind = Snapshot(self._source.name, time.time(), problem=problem)
        outcome = self._engine.evaluate(blind)
        with self._lock:
            self._judged = blind
            last = self._status if self._is_stale else stale(self._status)
            self._status = replace(last, alerts=outcome.status.alerts, in_use=None)
            self._trouble, self._is_stale = outcome.trouble, True
        self._tell(outcome)

    def _tell(self, outcome: EvaluationResult) -> None:
        self._publish()
        if outcome.mails and self._faces.courier is not None:
            self._faces.courier.kick()
        if self._faces.popups is None:
            return
        for popup, fingerprints in outcome.popups:
            shown = self._faces.popups.show(popup)
            if fingerprints:
                self._engine.record_popup(fingerprints, shown=shown)
        for popup, number in outcome.reminder_popups:
            shown = self._faces.popups.show(popup)
            if number:
                self._engine.record_reminder_popup(number, shown=shown)
        for key in outcome.closed_popups:
            self._faces.popups.close(key)

    def _publish(self) -> None:
        with self._lock:
            notes = self._notes()
            warn = bool(self._setup.problems) or self._trouble is not None
            self._shown = with_notes(self._status, notes, warn=warn)
            self._faces.show(self._shown)
            trouble = self._status.headline if self._status.level is Level.NO_DATA else self._trouble
        if self._faces.report is not None and trouble != self._reported:
            self._reported = trouble
            self._faces.report(trouble)

    def _notes(self) -> Sequence[str]:
        notes = [str(problem) for problem in self._setup.problems]
        notes += self._setup.settings.warnings
        if self._trouble is not None:
            notes.append(self._trouble)
        if self._recorder is not None and self._recorder.trouble is not None:
            notes.append(self._recorder.trouble)
        if self._setup.simulated:
            notes.append(_("Simulated GPUs: GPU_LIMIT is 1 here, and nothing is mailed"))
        elif not self._setup.settings.to_email:
            notes.append(_("Email is off: {why}").format(why=self._setup.settings.no_recipient))
        elif self._faces.courier is not None:
            notes += mailtrouble.mail_notes(self._faces.courier.waiting, time.time())
        return notes
