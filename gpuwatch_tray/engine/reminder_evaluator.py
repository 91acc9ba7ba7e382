"""
The evaluation of the reminders with each snapshot, and how they are told: by popup and mail.

A reminder that has come about stays on file until its mail is queued or its popup was shown: after a crash it
is told once more rather than not at all.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from gpuwatch_tray.alerts.reminder_types import (
    CommandEnds,
    GpusFree,
    LabGpusFree,
    LabProcessEnds,
    Observation,
    ProcessEnds,
)
from gpuwatch_tray.alerts.reminders import awaited, must_be_saved, needs_process_check, step_reminder
from gpuwatch_tray.alerts.run_groups import group_of, is_held, is_recent, join_ends, join_notices, told_now
from gpuwatch_tray.engine.mail_builder import new_id
from gpuwatch_tray.model import EmailWhen, PendingReminder, Presence, Severity
from gpuwatch_tray.notify import render
from gpuwatch_tray.runs import Kind, Unseen
from gpuwatch_tray.runs.observed import observed_facts, observed_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gpuwatch_tray.alerts import Channel
    from gpuwatch_tray.alerts.reminder_types import Reminder
    from gpuwatch_tray.alerts.run_groups import ToldGroup
    from gpuwatch_tray.engine.types import Policy
    from gpuwatch_tray.model import Instant, LabView, Message, Popup, ReminderNotice, Snapshot
    from gpuwatch_tray.notify.render import MailIdentity


log = logging.getLogger(__name__)

KERNEL_SLACK = 60.0  # seconds: its log has a clock of its own, and the reminder is younger than the process
POPUP_KEY = "reminder:"  # begins the key of a popup about a reminder


def liveness_unknown(_pid: int, _identity: str) -> None:
    """Return None: the system cannot be asked whether a process lives."""


def never_descends(_pid: int, _ancestor: int) -> bool:
    """Return False: the system cannot be asked who has started a process."""
    return False


def no_kernel_lines(_pid: int, _within: float) -> tuple[str, ...]:
    """Return no lines: the kernel's log is not for this user."""
    return ()


class ReminderNotifications(Struct, frozen=True):
    """
    What is to be told now: `mails`, by channel, with the numbers of the reminders that each tells of.

    `popups` stand with the numbers of those that they alone tell of, none where a mail does too. `shown` are
    reminders that were shown before and are still on file; `groups` what is known of each group of runs then,
    None for what was before.
    """

    mails: tuple[tuple[Mapping[Channel, Message], tuple[int, ...]], ...] = ()
    popups: tuple[tuple[Popup, tuple[int, ...]], ...] = ()
    shown: tuple[int, ...] = ()
    groups: Mapping[str, ToldGroup] | None = None

    @property
    def closed(self) -> tuple[int, ...]:
        """The numbers of the reminders that need not be on file any more."""
        return (*self.shown, *(number for _, numbers in self.mails for number in numbers))


class ReminderResult(Struct, frozen=True):
    """What one evaluation came to: every reminder after it, those that must be written, and what is told."""

    reminders: tuple[Reminder, ...] = ()
    changed: tuple[Reminder, ...] = ()
    notifications: ReminderNotifications = ReminderNotifications()


def _with_cause(
    old: Reminder, new: Reminder, snapshot: Snapshot, kernel_lines: Callable[[int, float], tuple[str, ...]]
) -> Reminder:
    """Say why a process ended, whose end nobody reports, where driver, kernel or neighbours told of it."""
    condition, notice = new.condition, new.notice
    if (
        old.notice is not None
        or notice is None
        or isinstance(condition, GpusFree | LabGpusFree | LabProcessEnds)
    ):
        return new
    from gpuwatch_tray.runs.explanation import explain_end  # late: its patterns are many
    from gpuwatch_tray.runs.sentences import neighbours_line

    facts = observed_facts(observed_json(condition, snapshot), notice.at)
    asked = max(0.0, notice.at - new.asked.wall)
    facts = replace(facts, kernel_lines=kernel_lines(condition.pid, asked + KERNEL_SLACK))
    cause = explain_end("", Unseen(), facts)
    told: tuple[str, ...] = ()
    if cause != explain_end("", Unseen()):
        told = (cause.sentence, cause.fix, cause.evidence)
    if not any(gpu.full for gpu in facts.gpus):  # else the sentence names them
        told = (*told, neighbours_line(facts))
    details = (*filter(None, told), *notice.details)
    severity = notice.severity if cause.kind is Kind.UNKNOWN else max(notice.severity, Severity.WARNING)
    return replace(new, notice=replace(notice, details=details, severity=severity, gpus=condition.devices))


class ReminderEvaluator:
    """
    Steps the reminders of one state; called in turn, never at once.

    `evaluate` changes nothing that counts; `apply` goes on from its result, once that is committed.
    """

    def __init__(
        self,
        policy: Policy,
        identity: MailIdentity,
        lives: Callable[[int, str], bool | None],
        descends: Callable[[int, int], bool],
        kernel_lines: Callable[[int, float], tuple[str, ...]] = no_kernel_lines,
    ) -> None:
        self._policy = policy
        self._identity = identity
        self._lives = lives
        self._descends = descends
        self._kernel_lines = kernel_lines
        # By reminder: who is known to be its child.
        self._descent: dict[int, dict[tuple[int, str], bool]] = {}
        self._latest: dict[int, Reminder] = {}  # further on than the file: see `must_be_saved`
        self._showing: set[int] = set()  # handed to the desktop, which has not answered yet
        self._not_shown: set[int] = set()  # no popup about it could be shown
        self._unrecorded: set[int] = set()  # shown, and that could not be written
        self._groups: Mapping[str, ToldGroup] = {}  # after a restart none: then all is told at once
        self.awaited: tuple[PendingReminder, ...] = ()

    def reconfigure(self, policy: Policy, identity: MailIdentity) -> None:
        """Go by these from now on."""
        self._policy, self._identity = policy, identity

    def evaluate(
        self,
        reminders: Iterable[Reminder],
        snapshot: Snapshot,
        now: Instant,
        presence: Presence,
        *,
        gap: float,
        snoozed: bool,
        lab: LabView | None = None,
    ) -> ReminderResult:
        """Step each of the `reminders` on file; a snooze of everything holds back what is due."""
        changed, after = [], []
        for on_file in reminders:
            old = self._latest.get(on_file.id, on_file) if on_file.notice is None else on_file
            stepped = step_reminder(old, self._observe(old, snapshot, now, gap, lab))
            new = _with_cause(old, stepped, snapshot, self._kernel_lines)
            after.append(new)
            if must_be_saved(on_file, new):
                changed.append(new)
        due = ReminderNotifications()
        if not snoozed:
            due = self.due(after, now, presence, simulated=snapshot.simulated)
        return ReminderResult(tuple(after), tuple(changed), due)

    def due(
        self, reminders: Iterable[Reminder], now: Instant, presence: Presence, *, simulated: bool = False
    ) -> ReminderNotifications:
        """Return what has come about already, as mails and popups to send now, one for runs of a group."""
        shown: list[int] = []
        waiting: dict[str | int, list[Reminder]] = {}  # by group; by number what stands alone
        for reminder in reminders:
            if reminder.notice is None or reminder.id in self._showing:
                continue
            if reminder.id in self._unrecorded:
                shown.append(reminder.id)
            else:
                waiting.setdefault(group_of(reminder) or reminder.id, []).append(reminder)
        groups = {name: told for name, told in self._groups.items() if is_recent(told, now)}
        mails: list[tuple[Mapping[Channel, Message], tuple[int, ...]]] = []
        popups: list[tuple[Popup, tuple[int, ...]]] = []
        for name, due in waiting.items():
            numbers = tuple(reminder.id for reminder in due)
            overdue = not self._not_shown.isdisjoint(numbers)
            more = False
            if isinstance(name, str):
                told = groups.get(name)
                follows = None if told is None else join_ends(told, due)
                more = follows is not None and not overdue
                if follows is not None and more and is_held(follows, now):
                    groups[name] = follows
                    continue
                groups[name] = told_now(due, now)
            notice = join_notices(str(name), [each.notice for each in due if each.notice], more=more)
            mailed = self._write(notice, now, presence, overdue=overdue)
            if mailed:
                mails.append((mailed, numbers))
            if self._policy.routing.popups and not (mailed and overdue):
                key = f"{POPUP_KEY}{numbers[0]}"
                popup = render.notice_popup(key, notice, self._identity.popup_host, simulated=simulated)
                popups.append((popup, () if mailed else numbers))
        return ReminderNotifications(tuple(mails), tuple(popups), tuple(shown), groups)

    def apply(self, result: ReminderResult) -> None:
        """Go on from `result`, which is committed."""
        closed = set(result.notifications.closed)
        self._latest = {reminder.id: reminder for reminder in result.reminders if reminder.id not in closed}
        self._descent = {number: known for number, known in self._descent.items() if number in self._latest}
        self._showing |= {number for _, numbers in result.notifications.popups for number in numbers}
        if result.notifications.groups is not None:
            self._groups = result.notifications.groups
        self._unrecorded -= closed
        self._not_shown &= set(self._latest)
        shown_soon = self._showing - self._not_shown  # as far as anybody can say
        self.awaited = tuple(
            awaited(reminder) for number, reminder in self._latest.items() if number not in shown_soon
        )
        for reminder in result.changed:
            if reminder.notice is not None:
                log.info("%s: %s", reminder.notice.title, reminder.notice.text)

    def record_popup(self, numbers: Iterable[int], *, shown: bool) -> None:
        """Note that the desktop has shown the popup about these reminders, or that a mail has to tell."""
        self._showing.difference_update(numbers)
        if not shown:
            self._not_shown.update(numbers)

    def record_unwritten(self, numbers: Iterable[int]) -> None:
        """Note that the popup was shown and its reminders could not be closed: the next commit does."""
        self._unrecorded.update(numbers)

    def _observe(
        self, reminder: Reminder, snapshot: Snapshot, now: Instant, gap: float, lab: LabView | None
    ) -> Observation:
        condition, lives = reminder.condition, None
        if needs_process_check(reminder, snapshot) and isinstance(condition, ProcessEnds | CommandEnds):
            lives = self._lives(condition.pid, condition.identity)
        children = self._children(reminder, snapshot) if lives else frozenset()
        return Observation(snapshot, now, gap, self._policy.in_loop, lives, children, lab)

    def _children(self, reminder: Reminder, snapshot: Snapshot) -> frozenset[tuple[int, str]]:
        """Return the processes on the GPUs that a command has started."""
        # The system is asked once about each. A child stays one when a process between the two ends.
        command = reminder.condition
        if not isinstance(command, CommandEnds):
            return frozenset()
        before = self._descent.get(reminder.id, {})
        mine = {(entry.pid, entry.identity) for entry in snapshot.processes if entry.mine and entry.identity}
        known = {
            process: before[process] if process in before else self._descends(process[0], command.pid)
            for process in mine
        }
        self._descent[reminder.id] = known
        return frozenset(process for process, descends in known.items() if descends)

    def _write(
        self, notice: ReminderNotice, now: Instant, presence: Presence, *, overdue: bool
    ) -> dict[Channel, Message]:
        """Return the messages about the notice, by the channels that are to tell it now."""
        written = {}
        for channel in self._policy.routing.written:
            if self._is_written(channel, presence, overdue=overdue):
                write = render.notice_chat if channel.chat else render.notice_mail
                new = new_id(self._identity)
                written[channel] = write(self._identity, notice, now=now.wall, message_id=new)
        return written

    def _is_written(self, channel: Channel, presence: Presence, *, overdue: bool) -> bool:
        """Return whether the channel tells it: nobody is at the desk, or no popup could be shown."""
        routing = self._policy.routing
        when = routing.when(channel)
        wanted = next(
            (chat.wants_reminders for chat in routing.chats if chat.channel == channel), routing.mails
        )
        if not wanted or when is EmailWhen.NEVER:
            return False
        if when is EmailWhen.ALWAYS or not routing.popups or overdue:
            return True
        return presence is not Presence.PRESENT
