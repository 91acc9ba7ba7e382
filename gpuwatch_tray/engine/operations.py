"""
What the person does: acknowledge and snooze alerts, ask for reminders. Menu, popups and commands come here.

It is written to the state at once; whoever evaluates reads it with the next snapshot.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gpuwatch_tray.alerts import Silence, SilenceScope, until_tomorrow
from gpuwatch_tray.alerts.reminder_types import CommandEnds, GpusFree, ProcessEnds, Reminder, RunReport
from gpuwatch_tray.alerts.reminders import awaited, command_notice, describe_reminder, total_memory
from gpuwatch_tray.common import redact
from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import Phase, known
from gpuwatch_tray.model.units import DAY, HOUR, MINUTE, TO_THE_MINUTE, local_time
from gpuwatch_tray.rules import RULES
from gpuwatch_tray.rules.every_rule import is_rule
from gpuwatch_tray.store import Transition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.alerts.reminder_types import ReminderCondition
    from gpuwatch_tray.model import Alert, Instant, Snapshot
    from gpuwatch_tray.store import Store


log = logging.getLogger(__name__)

LONGEST_SNOOZE = 366 * DAY
_UNITS = {"s": 1, "m": MINUTE, "min": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_PART = late_pattern(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)")


class NoSuchAlertError(Exception):
    """No alert of this name is active; the text says which are."""


def parse_duration(text: str, now: float) -> float:
    """Read `2h`, `90min`, `1d12h`, `tomorrow` and the like, in seconds from `now`; ValueError."""
    words = text.strip().lower()
    if words == "tomorrow":
        return until_tomorrow(now)
    parts = _PART.findall(words)
    if not parts or _PART.sub("", words).strip():
        raise ValueError(
            _("expected a duration such as 30m, 2h, 1d or tomorrow, got {text!r}").format(text=text)
        )
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < total <= LONGEST_SNOOZE:
        raise ValueError(_("expected a duration of up to a year, got {text!r}").format(text=text))
    return total


class AlertOperations:
    """Acknowledge and snooze the alerts of one state. Methods answer with lines that say what was done."""

    def __init__(self, store: Store, clock: Callable[[], Instant]) -> None:
        self._store = store
        self._clock = clock

    def acknowledge(self, *names: str) -> str:
        """Acknowledge alerts, by id or fingerprint, until they end or get worse. Raises NoSuchAlertError."""
        alerts = self._find(names)
        if pending := [alert for alert in alerts if alert.phase is Phase.PENDING]:
            text = _("alert {id} is not firing yet; there is nothing to acknowledge")
            raise NoSuchAlertError(text.format(id=pending[0].id))
        now = self._clock()
        lines = [Transition(now.wall, alert.id, "acknowledged") for alert in alerts]
        self._store.acknowledge([alert.id for alert in alerts], lines, now.wall)
        return self._report(_("acknowledged"), alerts)

    def snooze(self, length: float, *names: str) -> str:
        """Silence all, or these rules and alerts, for `length` seconds. Raises NoSuchAlertError."""
        now = self._clock()
        until = local_time(now.wall + length, TO_THE_MINUTE)
        if not names:
            self._store.add_silence(Silence(SilenceScope.ALL, "", now, length))
            log.info("everything snoozed until %s", until)
            return _("everything snoozed until {time}").format(time=until)
        rules = [name for name in names if is_rule(name)]
        alerts = self._find([name for name in names if name not in rules])
        for rule in rules:
            self._store.add_silence(Silence(SilenceScope.RULE, rule, now, length))
        for alert in alerts:
            line = Transition(now.wall, alert.id, "snoozed", _("until {time}").format(time=until))
            self._store.add_silence(Silence(SilenceScope.ALERT, alert.fingerprint, now, length), [line])
        return self._report(_("snoozed until {time}").format(time=until), alerts, rules)

    def resume(self) -> str:
        """End every snooze."""
        count = self._store.end_silences()
        log.info("%d snoozes ended", count)
        return _("nothing was snoozed") if count == 0 else _("all snoozes ended")

    def _find(self, names: Sequence[str]) -> list[Alert]:
        active = self._store.saved_state().alerts
        alerts = []
        for name in names:
            matches = [alert for alert in active if name in {str(alert.id), alert.fingerprint}]
            if not matches:
                ids = ", ".join(str(alert.id) for alert in active) or _("none")
                text = _("there is no active alert and no rule {name!r} (active: {ids}; rules: {rules})")
                raise NoSuchAlertError(text.format(name=name, ids=ids, rules=", ".join(RULES)))
            alerts += matches
        return alerts

    def _report(self, what: str, alerts: Sequence[Alert], rules: Sequence[str] = ()) -> str:
        subjects = [
            *(_("rule {rule}").format(rule=rule) for rule in rules),
            *(f"{alert.id}: {alert.message}" for alert in alerts),
        ]
        for subject in subjects:
            log.info("%s: %s", what, subject)
        return "\n".join(f"{what}: {subject}" for subject in subjects)


HOLD = 60.0  # seconds for which a GPU must have been free
LOCAL = "nvml"  # the source whose processes run here and whose identities are the system's own
LONGEST_COMMAND = 120  # characters


class ReminderError(Exception):
    """No reminder can be made of it; the text says why."""


class NotOnGpuError(ReminderError):
    """No such process is on a GPU, at least not in this snapshot."""


def why_never_free(count: int, total: int) -> str:
    """Say why no waiting brings `count` free GPUs where there are `total`; empty where it may."""
    if total == 0:
        return _("idle GPUs cannot be seen here: this source lists processes, not GPUs")
    if count > total:
        text = ngettext("there is only {total} GPU here", "there are only {total} GPUs here", total)
        return text.format(total=total)
    return ""


class ReminderList:
    """
    The reminders of one state. Methods answer with a line that says what was done.

    `PREFIX` begins the numbers that people give: two states count alike.
    """

    PREFIX = ""

    def __init__(self, store: Store, clock: Callable[[], Instant]) -> None:
        self._store = store
        self._clock = clock

    def cancel(self, number: int) -> str:
        """Wait no longer. Raises ReminderError."""
        reminders = {reminder.id: reminder for reminder in self._store.reminders()}
        if number not in reminders or not self._store.close_reminders([number]):
            numbers = ", ".join(map(self._named, reminders)) or _("none")
            text = _("there is no reminder {number} (pending: {numbers})")
            raise ReminderError(text.format(number=self._named(number), numbers=numbers))
        what = describe_reminder(reminders[number])
        return _("cancelled: {number}: {what}").format(number=self._named(number), what=what)

    def lines(self) -> list[str]:
        """Describe each reminder in a line, oldest first."""
        due = _(", not yet reported")
        return [
            f"{self._named(row.id):>5}  {row.text}{due if row.due else ''}"
            for row in map(awaited, self._store.reminders())
        ]

    def _named(self, number: int) -> str:
        return f"{self.PREFIX}{number}"

    def _add(self, condition: ReminderCondition) -> str:
        reminder = Reminder(0, self._clock(), condition)
        number, what = self._store.add_reminder(reminder), describe_reminder(reminder)
        log.info("told when %s", what)
        return _("{number}: you will be notified when {what}").format(number=self._named(number), what=what)

    def _already(self, reminder: Reminder) -> str:
        text = _("{id}: you will already be notified when {what}")
        return text.format(id=self._named(reminder.id), what=describe_reminder(reminder))


class Reminders(ReminderList):
    """The reminders about this computer."""

    def add_gpus_free(self, count: int, snapshot: Snapshot | None, hold: float = HOLD) -> str:
        """Wait until `count` GPUs have had no compute process for `hold` seconds. Raises ReminderError."""
        if snapshot is not None and snapshot.problem is None:
            total = len({gpu.physical or gpu.uuid for gpu in snapshot.gpus} - {""})
            if why := why_never_free(count, total):
                raise ReminderError(why)
        condition = GpusFree(count, hold)
        for reminder in self._store.reminders():
            other = reminder.condition
            if isinstance(other, GpusFree) and (other.count, other.hold) == (count, hold):
                return self._already(reminder)
        answer = self._add(condition)
        free = None if snapshot is None else snapshot.free_gpus
        if free is None:
            return answer
        return _("{said} (free now: {count})").format(said=answer, count=len(free))

    def add_process_ends(self, pid: int, snapshot: Snapshot | None, identity: str | None = None) -> str:
        """Wait until the process is gone; with `identity`, that very one. Raises ReminderError."""
        # It must be on a GPU in `snapshot`, and may be anybody's.
        entries = [] if snapshot is None else [entry for entry in snapshot.processes if entry.pid == pid]
        if identity is not None:
            entries = [entry for entry in entries if entry.identity == identity]
        if snapshot is None or not entries:
            raise NotOnGpuError(_nowhere(pid, snapshot))
        process = entries[0]
        condition = ProcessEnds(
            pid,
            process.identity,
            clipped(redact.command(process)),
            snapshot.boot_id,
            snapshot.source == LOCAL and bool(process.identity),
            tuple(sorted({entry.gpu for entry in entries if entry.gpu is not None})),
            known(process.elapsed),
            total_memory(entries),
            self._clock(),
        )
        for reminder in self._store.reminders():
            other = reminder.condition
            if isinstance(other, ProcessEnds) and (
                (other.pid, other.identity, other.boot) == (pid, process.identity, snapshot.boot_id)
            ):
                return self._already(reminder)
        return self._add(condition)

    def add_command(self, pid: int, identity: str, boot: str, called: str) -> int:
        """Expect the end of a command, shown as `called`, to be reported; the number to report it by."""
        condition = CommandEnds(pid, identity, called, boot)
        return self._store.add_reminder(Reminder(0, self._clock(), condition))

    def command(self, number: int) -> CommandEnds | None:
        """Return what has been observed of a command that is waited for; None where it is not (any more)."""
        for reminder in self._store.reminders():
            if reminder.id == number and isinstance(reminder.condition, CommandEnds):
                return reminder.condition
        return None

    def report_command(
        self, number: int, code: int, seconds: float, output: Sequence[str], report: RunReport | None = None
    ) -> bool:
        """Report how the command ended, and its last lines; False where nobody waits for it (any more)."""
        command = self.command(number)
        if command is None:
            return False
        notice = command_notice(command, code, seconds, output, self._clock().wall, report)
        return self._store.complete_reminder(number, notice)


def _nowhere(pid: int, snapshot: Snapshot | None) -> str:
    if snapshot is None:
        return _("the GPUs have not been read yet")
    if snapshot.problem is not None:
        return _("the GPUs cannot be read: {problem}").format(problem=snapshot.problem)
    there = sorted({process.pid for process in snapshot.processes})
    listed = _("on the GPUs: {pids}") if there else _("no processes on the GPUs")
    listed = listed.format(pids=", ".join(map(str, there)))
    unread = [gpu.index for gpu in snapshot.gpus if gpu.problem or gpu.process_problem]
    text = _("process {pid} is not on a GPU here ({known})")
    if unread:
        text = _("process {pid} is not on a GPU here ({known}; GPU {gpus} cannot be read)")
    return text.format(pid=pid, known=listed, gpus=", ".join(map(str, unread)))


def shown_command(argv: Sequence[str]) -> str:
    """Return what may be shown of a command that the user has typed."""
    return clipped(redact.one_line(" ".join(redact.arguments(argv))))


def clipped(command: str) -> str:
    """Cut what is shown of a command to a length."""
    return command if len(command) <= LONGEST_COMMAND else command[: LONGEST_COMMAND - 1] + "…"
