"""
Runs of one name that end within minutes, as the ranks of a job or those of a sweep do. Pure.

The first end is told at once; those that follow it are held for a while, and told together.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.alerts.reminder_types import CommandEnds
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import ReminderNotice, Severity
from gpuwatch_tray.model.units import MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpuwatch_tray.alerts.reminder_types import Reminder
    from gpuwatch_tray.model import Instant


TOGETHER = 5 * MINUTE  # seconds for which the further ends of a group are held
# Seconds after an end in which a script starts its next run: a person who reads of the end takes longer, and
# is told of what they start anew at once.
FOLLOWS = 10.0
MOST_CAUSES = 8  # sentences that a notice lists


class ToldGroup(Struct, frozen=True):
    """A group that was `told` of, and when (wall time) the latest of its ends was, told or held."""

    told: Instant
    latest: float


def group_of(reminder: Reminder) -> str:
    """Return what its group is called; empty for what stands alone."""
    condition = reminder.condition
    return condition.called if isinstance(condition, CommandEnds) else ""


def told_now(due: Iterable[Reminder], now: Instant) -> ToldGroup:
    """Return the group as it is once all of these ends are told."""
    return ToldGroup(now, max((one.notice.at for one in due if one.notice is not None), default=now.wall))


def join_ends(told: ToldGroup, due: Iterable[Reminder]) -> ToldGroup | None:
    """Return the group with these ends; None where one is of a run that was started well after the others."""
    latest = told.latest
    for asked, ended in sorted((one.asked.wall, one.notice.at) for one in due if one.notice is not None):
        if asked > latest + FOLLOWS:
            return None
        latest = max(latest, ended)
    return ToldGroup(told.told, latest)


def is_held(told: ToldGroup, now: Instant) -> bool:
    """Tell whether further ends of the group wait, to be told together."""
    return 0 <= now.since(told.told) < TOGETHER


def is_recent(told: ToldGroup, now: Instant) -> bool:
    """Tell whether what ends now may be one more of the group."""
    return 0 <= now.since(told.told) < 2 * TOGETHER


def join_notices(called: str, notices: Sequence[ReminderNotice], *, more: bool) -> ReminderNotice:
    """Make one notice of those of a group, at least one; `more`: others were told of shortly before."""
    if len(notices) == 1:
        return notices[0]
    count, at = len(notices), max(notice.at for notice in notices)
    failed = sorted((one for one in notices if one.severity >= Severity.WARNING), key=lambda one: one.at)
    if not failed:
        text = ngettext("{name}: {count} run is done", "{name}: {count} runs are done", count)
        if more:
            text = ngettext("{name}: {count} more run is done", "{name}: {count} more runs are done", count)
        return ReminderNotice(_("Commands finished"), text.format(name=called, count=count), at)
    text = ngettext(
        "{name}: {count} run ended, {failed} failed", "{name}: {count} runs ended, {failed} failed", count
    )
    if more:
        text = ngettext(
            "{name}: {count} more run ended, {failed} failed",
            "{name}: {count} more runs ended, {failed} failed",
            count,
        )
    title = ngettext("{count} command failed", "{count} commands failed", len(failed))
    worst = max(failed, key=lambda one: one.severity)  # of several the first
    first = [_("about the first that failed: {line}").format(line=line) for line in worst.details[:1]]
    details = [*_causes(called, failed), *first, *worst.details[1:]]
    return ReminderNotice(
        title.format(count=len(failed)),
        text.format(name=called, count=count, failed=len(failed)),
        at,
        tuple(details),
        worst.output,
        worst.severity,
        worst.run,
        worst.gpus,
        worst.quoted,
    )


def _causes(called: str, failed: Iterable[ReminderNotice]) -> list[str]:
    """Return each cause in a line, the worst and the first above, with how often it was."""
    worst_first = sorted(failed, key=lambda one: -one.severity)
    counted = Counter(one.text.removeprefix(f"{called}: ") for one in worst_first)
    several = _("{cause} ({count} times)")
    lines = [
        text if times == 1 else several.format(cause=text, count=times) for text, times in counted.items()
    ]
    rest = len(lines) - MOST_CAUSES
    return [*lines[:MOST_CAUSES], _("and {count} more").format(count=rest)] if rest > 0 else lines
