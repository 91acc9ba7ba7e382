"""
What the person asked to be told once: looked after at each evaluation, and told by popup and mail.

A watch that has come about stays on file until it is told: until its mail is queued, in one transaction, or
its popup was shown. So it is told once, and after a crash in between once more rather than not at all.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuwatch_tray import messages, watches
from gpuwatch_tray.evaluator.post import new_id
from gpuwatch_tray.model import Awaited, EmailWhen, Presence
from gpuwatch_tray.store import StoreError
from gpuwatch_tray.watches import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpuwatch_tray.evaluator.policy import Policy
    from gpuwatch_tray.messages import Letterhead
    from gpuwatch_tray.model import Instant, Message, Popup, Snapshot
    from gpuwatch_tray.store import Store
    from gpuwatch_tray.watches import Reminder

log = logging.getLogger(__name__)

KEY = "watch:"


def nobody_knows(_pid: int, _identity: str) -> None:
    """Where the system cannot be asked whether a process lives."""


def nobodys_child(_pid: int, _ancestor: int) -> bool:
    """Where the system cannot be asked who has started a process."""
    return False


@dataclass(frozen=True, slots=True)
class ReminderNotifications:
    """
    What is to be told now. `closed` (by number) are told by these mails, or were shown before.

    `popups` stand with the watch that they alone tell of, 0 where a mail does too.
    """

    mails: tuple[Message, ...] = ()
    closed: tuple[int, ...] = ()
    popups: tuple[tuple[Popup, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ReminderResult:
    """What one look came to: every watch after it, those of them to write, and what is told."""

    watches: tuple[Reminder, ...] = ()
    moved: tuple[Reminder, ...] = ()
    told: ReminderNotifications = ReminderNotifications()


class ReminderEvaluator:
    """
    The watches of one state, between the evaluations; called in turn, never at once.

    `look` changes nothing, `take` moves on. The store is asked at each look, for others write to it.
    """

    def __init__(
        self,
        store: Store,
        policy: Policy,
        head: Letterhead,
        lives: Callable[[int, str], bool | None],
        descends: Callable[[int, int], bool],
    ) -> None:
        self._store = store
        self._policy = policy
        self._head = head
        self._lives = lives
        self._descends = descends
        self._related: dict[int, dict[tuple[int, str], bool]] = {}  # by command: who is known to be its child
        self._seen: dict[int, Reminder] = {}  # further on than the file: see `watches.worth_keeping`
        self._showing: set[int] = set()  # handed to the desktop, which has not answered yet
        self._unshown: set[int] = set()  # no popup about it could be shown
        self._shown: set[int] = set()  # shown, and that could not be written
        self.awaited: tuple[Awaited, ...] = ()

    def adopt(self, policy: Policy, head: Letterhead) -> None:
        """Go by these from now on."""
        self._policy, self._head = policy, head

    def look(
        self, snapshot: Snapshot, now: Instant, presence: Presence, *, snoozed: bool
    ) -> ReminderResult | None:
        """Each watch takes its step; None where the store cannot be read. A snooze holds back what is due."""
        try:
            found = self._store.watches()
        except StoreError as error:
            log.debug("%s", error)  # the evaluation finds the same, and says so
            return None
        moved, after = [], []
        for row in found:
            old = self._seen.get(row.id, row) if row.notice is None else row
            new = watches.step(old, self._look(old, snapshot, now))
            after.append(new)
            if watches.worth_keeping(row, new):
                moved.append(new)
        told = (
            ReminderNotifications()
            if snoozed
            else self._told(after, now, presence, simulated=snapshot.simulated)
        )
        return ReminderResult(tuple(after), tuple(moved), told)

    def due(self, now: Instant, presence: Presence) -> ReminderNotifications:
        """What has come about already, without a look at the GPUs. Raises StoreError."""
        return self._told(self._store.watches(), now, presence, simulated=False)

    def take(self, noticed: ReminderResult) -> None:
        """It is on file: go on from there."""
        closed = set(noticed.told.closed)
        self._seen = {each.id: each for each in noticed.watches if each.id not in closed}
        self._related = {number: known for number, known in self._related.items() if number in self._seen}
        self._showing |= {number for _, number in noticed.told.popups if number}
        self._shown -= closed
        self._unshown &= set(self._seen)
        told = self._showing - self._unshown  # in a moment, as far as anybody can say
        self.awaited = tuple(
            watches.awaited(each) for number, each in self._seen.items() if number not in told
        )
        for each in noticed.moved:
            if each.notice is not None:
                log.info("%s: %s", each.notice.title, each.notice.text)

    def shown(self, number: int, *, really: bool) -> None:
        """The desktop has taken the popup about this watch, which is then told; or a mail has to tell."""
        self._showing.discard(number)
        if not really:
            self._unshown.add(number)
            return
        try:
            self._store.close_watch(number)
        except StoreError as error:
            log.warning("%s", error)
            self._shown.add(number)

    def _look(self, watch: Reminder, snapshot: Snapshot, now: Instant) -> Observation:
        lives = None
        if watches.asks_the_system(watch, snapshot) and not isinstance(watch.wish, watches.GpusFree):
            lives = self._lives(watch.wish.pid, watch.wish.identity)
        family = self._family(watch, snapshot) if lives else frozenset()
        return Observation(snapshot, now, self._policy.gap, self._policy.holds, lives, family)

    def _family(self, watch: Reminder, snapshot: Snapshot) -> frozenset[tuple[int, str]]:
        """
        Whom of the processes on the GPUs a command has started; each is asked about once.

        Who was a child stays one when what lies between ends.
        """
        if not isinstance(watch.wish, watches.CommandEnds):
            return frozenset()
        before = self._related.get(watch.id, {})
        there = {(each.pid, each.identity) for each in snapshot.processes if each.mine and each.identity}
        known = {
            each: before[each] if each in before else self._descends(each[0], watch.wish.pid)
            for each in there
        }
        self._related[watch.id] = known
        return frozenset(each for each, related in known.items() if related)

    def _told(
        self, found: Iterable[Reminder], now: Instant, presence: Presence, *, simulated: bool
    ) -> ReminderNotifications:
        mails: list[Message] = []
        closed: list[int] = []
        popups: list[tuple[Popup, int]] = []
        for each in found:
            if each.notice is None or each.id in self._showing:
                continue
            if each.id in self._shown:
                closed.append(each.id)
                continue
            mailed = self._mails(each.id, presence)
            if mailed:
                new = new_id(self._head)
                mails.append(messages.notice_mail(self._head, each.notice, now=now.wall, message_id=new))
                closed.append(each.id)
            if self._policy.popups and not (mailed and each.id in self._unshown):
                popup = messages.notice_popup(
                    f"{KEY}{each.id}", each.notice, self._head.host, simulated=simulated
                )
                popups.append((popup, 0 if mailed else each.id))
        return ReminderNotifications(tuple(mails), tuple(closed), tuple(popups))

    def _mails(self, number: int, presence: Presence) -> bool:
        """Whether a mail tells it: when nobody is known to be at the desk, or no popup could be shown."""
        policy = self._policy
        if not policy.mails or policy.email_when is EmailWhen.NEVER:
            return False
        if policy.email_when is EmailWhen.ALWAYS or not policy.popups or number in self._unshown:
            return True
        return presence is not Presence.PRESENT
