"""The monitor of the lab, beside the one of this computer: its own pace, state and mails."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.alerts import Channel
from gpuwatch_tray.alerts.lab_reminders import hosts_awaited, room_wanted
from gpuwatch_tray.app.bootstrap import create_lab_engine, create_outboxes, create_policy
from gpuwatch_tray.app.context import BLIND_EVERY
from gpuwatch_tray.app.monitor import HOUSEKEEP_EVERY, HOUSEKEEPING, housekeeping_rest
from gpuwatch_tray.app.telling import LAB_PREFIX, ResultTeller
from gpuwatch_tray.common.threads import PeriodicThread
from gpuwatch_tray.i18n import _
from gpuwatch_tray.lab.source import open_lab
from gpuwatch_tray.model import HostState, LabStatus, LabView, Level, Problem
from gpuwatch_tray.model.units import MINUTE
from gpuwatch_tray.notify.outbox_process import chat_notes, mail_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.engine import EvaluationResult, LabEngine
    from gpuwatch_tray.lab.source import LabSource
    from gpuwatch_tray.model import PresenceResult, Snapshot
    from gpuwatch_tray.notify.outbox_process import OutboxProcess
    from gpuwatch_tray.notify.sinks import PopupSink
    from gpuwatch_tray.store import Store

DETAILS_WITHIN = 15.0  # seconds for the hosts on which a process is waited for
LONGEST_PAUSE = 2 * MINUTE  # seconds between two reads of a lab that cannot be read


class LabMonitor:
    """The loop of polls over the lab: `start`, then `check_now` at will, then `stop`."""

    def __init__(
        self,
        context: RunContext,
        source: LabSource,
        engine: LabEngine,
        show: Callable[[LabStatus], None],
        outboxes: tuple[OutboxProcess, ...] = (),
        popups: PopupSink | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._source = source
        self._engine = engine
        self._show = show
        self._outboxes = outboxes
        self._monotonic = monotonic
        self._teller = ResultTeller(engine, popups, monotonic, LAB_PREFIX)
        self._poller = PeriodicThread(self._poll, context.settings.lab.poll, "lab", clock=monotonic)
        self._housekeeper = PeriodicThread(self.housekeep, HOUSEKEEP_EVERY, "lab housekeeper", delay=1.0)
        self._lock = threading.Lock()
        self._status = LabStatus(Level.NO_DATA, _("Reading the lab for the first time"), time.time())
        self._view: LabView | None = None  # the last that was evaluated
        self._pause = self._not_before = 0.0
        self._evaluated_blind_at = 0.0
        self.is_stale = False
        self._ended = False

    def start(self) -> None:
        """Show that the first poll is under way, and poll."""
        self._show(self._status)
        self._poller.start()
        self._housekeeper.start()

    def check_now(self) -> None:
        """Poll now, what is left alone for a while too."""
        self._not_before = 0.0
        self._source.retry()
        self._poller.run_now()

    def reconfigure(self, context: RunContext, outboxes: tuple[OutboxProcess, ...]) -> None:
        """Go by these settings, with the same hosts; a sending process in use is kept for its channel."""
        self._context = context
        before = {outbox.channel: outbox for outbox in self._outboxes}
        self._outboxes = tuple(before.get(outbox.channel, outbox) for outbox in outboxes)
        self._send_now()
        popups = self._engine.popups
        self._engine.reconfigure(create_policy(context, popups=popups), context.mail_identity)
        self.check_now()

    @property
    def status(self) -> LabStatus:
        """The status that is shown at present."""
        return self._status

    def detail(self, host: str) -> Snapshot:
        """Return one host GPU by GPU."""
        return self._source.detail(host)

    @property
    def waiting(self) -> dict[str, int]:
        """How many mails and messages about the lab wait, by channel."""
        return {outbox.channel: outbox.waiting.count for outbox in self._outboxes}

    @property
    def source(self) -> LabSource:
        """Where the lab is read."""
        return self._source

    def alerts_of_popup(self, key: str) -> tuple[str, ...]:
        """Return the fingerprints of the alerts that the popup tells of; its key begins with LAB_PREFIX."""
        return self._engine.alerts_of_popup(key.removeprefix(LAB_PREFIX))

    def explain(self) -> tuple[str, ...]:
        """Say of each rule what it makes of the last view, and what will be sent, when and why."""
        with self._lock:
            view = self._view
        return (_("nothing has been read yet"),) if view is None else explain_view(self._engine, view)

    def stop(self, timeout: float) -> bool:
        """End both threads; False when the poller is stuck: what it brings later changes nothing."""
        self._ended = True
        self._poller.stop(0.0)
        self._source.close()
        self._housekeeper.stop(HOUSEKEEPING)
        ended = self._poller.stop(timeout)
        for outbox in self._outboxes:
            outbox.kick()
            outbox.tick()
        return ended

    def withdraw_popups(self) -> None:
        """Take its popups off the screen, after `stop`: no engine knows any more what they tell of."""
        self._teller.withdraw()

    def _poll(self) -> None:
        if self._monotonic() < self._not_before:
            return
        view = self._source.read(room_wanted(self._engine.reminders))
        # A server that does not answer is not asked at each poll.
        self._pause = min(LONGEST_PAUSE, 2 * self._pause or self._context.settings.lab.poll)
        if view.problem is None:
            self._pause = 0.0
        self._not_before = self._monotonic() + self._pause if self._pause else 0.0
        if view.problem is None:
            view = replace(view, details=self._awaited_details(view))
        if not self._ended:  # the state is closed then, and another lab may be shown
            self.on_view(view)

    def _awaited_details(self, view: LabView) -> tuple[tuple[str, Snapshot], ...]:
        """Ask the hosts that are waited for GPU by GPU, where the view does not have them so."""
        waiting = hosts_awaited(self._engine.reminders)
        until = self._monotonic() + DETAILS_WITHIN
        found: list[tuple[str, Snapshot]] = []
        for host in view.hosts:
            # Of those for which there is no time nothing is concluded: what hangs must not hold up the rest.
            if self._monotonic() >= until:
                break
            if host.name in waiting and host.state is HostState.OK and host.detail is None:
                found.append((host.name, self._source.detail(host.name)))
        return tuple(found)

    def on_view(self, view: LabView) -> None:
        """Evaluate `view`, and hand on what came of it."""
        result = self._engine.evaluate(view)
        with self._lock:
            self._view, self.is_stale = view, False
        self._publish(result, view)

    def housekeep(self) -> float:
        """Check whether the last view is too old and whether mail is due; the seconds until the next time."""
        silence = self._poller.seconds_since_success()
        if (
            not self._ended
            and silence > self._oldest
            and (not self.is_stale or self._monotonic() - self._evaluated_blind_at >= BLIND_EVERY)
        ):
            self.is_stale = True
            self._evaluated_blind_at = self._monotonic()
            problem = Problem(_("reading the lab hangs"))
            blind = LabView(self._source.name, time.time(), problem=problem)
            self._publish(self._engine.evaluate(blind), blind)
        for outbox in self._outboxes:
            changed = outbox.tick()
            self._teller.tell_mail_health(outbox.waiting, changed=changed, channel=outbox.channel)
        return housekeeping_rest(self._oldest - silence, self._outboxes)

    @property
    def _oldest(self) -> float:
        """Seconds after which a view is too old; longer while the lab is left alone, and grey already."""
        return self._context.stale_after - (0.0 if self._pause else LONGEST_PAUSE)

    def _publish(self, result: EvaluationResult, view: LabView) -> None:
        if self._ended:
            return
        status = result.status
        notes = (*view.notes, *filter(None, [result.trouble]), *self._outbox_notes())
        shown = result.lab_view or view
        self._status = LabStatus(
            status.level,
            status.headline,
            view.at,
            shown,
            status.alerts,
            notes,
            status.snoozed_until,
            status.awaited,
        )
        self._show(self._status)
        if result.mails or result.chats:
            self._send_now()
        self._teller.tell(result)

    def _send_now(self) -> None:
        for outbox in self._outboxes:
            outbox.kick()
        self._housekeeper.run_now()

    def _outbox_notes(self) -> Iterator[str]:
        """Yield a line for what does not leave."""
        now = time.time()
        for outbox in self._outboxes:
            chat = Channel(outbox.channel).chat
            yield from chat_notes(chat, outbox.waiting, now) if chat else mail_notes(outbox.waiting, now)


def create_monitor(
    lab: RunContext,
    store: Store,
    show: Callable[[LabStatus], None],
    popups: PopupSink | None,
    presence: Callable[[], PresenceResult] | None,
) -> LabMonitor:
    """Make the monitor of the lab on the `store` of its state. Raises StoreError."""
    engine = create_lab_engine(lab, store, presence=presence)
    source = open_lab(lab.settings.lab, lab.user, silences_file(lab))
    return LabMonitor(lab, source, engine, show, create_outboxes(lab, store), popups)


def explain_view(engine: LabEngine, view: LabView) -> tuple[str, ...]:
    """Say what each rule makes of `view`, below what is to be noted of it."""
    return (*(_("note: {note}").format(note=note) for note in view.notes), *engine.explain(view))


def silences_file(context: RunContext) -> Path:
    """Return the file of the silences that were made from this account."""
    return context.settings.state / f"silences-{context.host}.json"


def read_lab_once(context: RunContext) -> LabView:
    """Read the lab for a command, without a running tray."""
    with closing(open_lab(context.settings.lab, context.user, silences_file(context))) as source:
        return source.read()
