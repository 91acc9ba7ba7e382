"""`check`: one evaluation for cron, and the two ways to try it out."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

from gpuwatch_tray import machine, messages
from gpuwatch_tray.app import AlreadyRunningError, evaluator, open_store, tenure
from gpuwatch_tray.commands.mail import deliver_now, refuse_demo, send_now
from gpuwatch_tray.context import RunContext, UsageError, WorkError
from gpuwatch_tray.evaluator import mail_now
from gpuwatch_tray.language import _
from gpuwatch_tray.model import LABEL
from gpuwatch_tray.reading import open_source, read_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpuwatch_tray.model import Instant


def run(
    context: RunContext, *, dry_run: bool, test_mail: bool, clock: Callable[[], Instant] = machine.now
) -> int:
    """
    Evaluate once and send what is due before returning; silent when there is nothing to say.

    `dry_run` prints subject and body of what fires, past the cooldown, and changes nothing; `test_mail`
    sends now, whether anything fires or not, and starts no cooldown.
    """
    if not context.settings.to_email and not context.simulated:
        lines = [*map(str, context.problems), context.settings.no_recipient]
        raise UsageError("\n".join(dict.fromkeys(lines)))
    context.require()
    if context.simulated:
        print(_(LABEL))
    if dry_run or test_mail:
        return _try_out(context, send=test_mail, now=clock())
    try:
        failures = _evaluate(context, clock)
    except AlreadyRunningError as other:
        print(_("{watcher}: nothing evaluated here").format(watcher=other))
        with closing(open_store(context)) as store:
            failures = [*_doubts(other), *deliver_now(context, store)]
    _fail(failures)
    return 0


def _evaluate(context: RunContext, clock: Callable[[], Instant]) -> list[str]:
    with tenure(context, "check") as held, closing(open_source(context, held.store)) as source:
        outcome = evaluator(context, held.store, clock, loop=False).evaluate(read_once(context, source))
        failures = [*outcome.gaps, *([outcome.trouble] if outcome.trouble else [])]
        return failures if context.simulated else [*failures, *deliver_now(context, held.store)]


def _doubts(other: AlreadyRunningError) -> list[str]:
    """Why the other watcher may not be enough."""
    doubts = (
        []
        if other.holder.trouble is None
        else [_("{watcher}, and says: {trouble}").format(watcher=other, trouble=other.holder.trouble)]
    )
    if not other.holder.mails:
        doubts.append(_("{watcher}, but mails nobody: TO_EMAIL is not set there").format(watcher=other))
    return doubts


def _try_out(context: RunContext, *, send: bool, now: Instant) -> int:
    """`--dry-run` and `--test-mail`: without state, past the cooldown."""
    if send:
        refuse_demo(context)
    for warning in context.settings.warnings:  # here sits the person who can mend it, not with cron
        print(warning, file=sys.stderr)
    with closing(open_source(context)) as source:
        snapshot = read_once(context, source)
    firing, unknown, message = mail_now(snapshot, context.policy, context.head, now, redacted=send)
    if send:
        said, refused = send_now(context, message)
        print(said)
        gaps = [_("the mail was sent, but: {gap}").format(gap=line) for line in unknown]
        unknown = (*refused, *gaps)
    elif firing:
        sys.stdout.write(messages.dry_run(message))
    _fail(unknown)
    return 0


def _fail(lines: Iterable[str]) -> None:
    if text := "\n".join(lines):
        raise WorkError(text)
