"""`check`: one evaluation for cron, and the two ways to try it out."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

from gpuwatch_tray import machine, messages
from gpuwatch_tray.app import Occupied, evaluator, open_store, tenure
from gpuwatch_tray.commands.mail import deliver_now, refuse_demo, send_now
from gpuwatch_tray.context import Setup, UsageError, WorkError
from gpuwatch_tray.evaluator import mail_now
from gpuwatch_tray.language import _
from gpuwatch_tray.model import LABEL
from gpuwatch_tray.reading import open_source, read_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpuwatch_tray.model import Instant


def run(setup: Setup, *, dry_run: bool, test_mail: bool, clock: Callable[[], Instant] = machine.now) -> int:
    """
    Evaluate once and send what is due before returning; silent when there is nothing to say.

    `dry_run` prints subject and body of what fires, past the cooldown, and changes nothing; `test_mail`
    sends now, whether anything fires or not, and starts no cooldown.
    """
    if not setup.settings.to_email and not setup.simulated:
        lines = [*map(str, setup.problems), setup.settings.no_recipient]
        raise UsageError("\n".join(dict.fromkeys(lines)))
    setup.require()
    if setup.simulated:
        print(_(LABEL))
    if dry_run or test_mail:
        return _try_out(setup, send=test_mail, now=clock())
    try:
        failures = _evaluate(setup, clock)
    except Occupied as other:
        print(_("{watcher}: nothing evaluated here").format(watcher=other))
        with closing(open_store(setup)) as store:
            failures = [*_doubts(other), *deliver_now(setup, store)]
    _fail(failures)
    return 0


def _evaluate(setup: Setup, clock: Callable[[], Instant]) -> list[str]:
    with tenure(setup, "check") as held, closing(open_source(setup, held.store)) as source:
        outcome = evaluator(setup, held.store, clock, loop=False).evaluate(read_once(setup, source))
        failures = [*outcome.gaps, *([outcome.trouble] if outcome.trouble else [])]
        return failures if setup.simulated else [*failures, *deliver_now(setup, held.store)]


def _doubts(other: Occupied) -> list[str]:
    """Why the other watcher may not be enough."""
    doubts = (
        []
        if other.holder.trouble is None
        else [_("{watcher}, and says: {trouble}").format(watcher=other, trouble=other.holder.trouble)]
    )
    if not other.holder.mails:
        doubts.append(_("{watcher}, but mails nobody: TO_EMAIL is not set there").format(watcher=other))
    return doubts


def _try_out(setup: Setup, *, send: bool, now: Instant) -> int:
    """`--dry-run` and `--test-mail`: without state, past the cooldown."""
    if send:
        refuse_demo(setup)
    for warning in setup.settings.warnings:  # here sits the person who can mend it, not with cron
        print(warning, file=sys.stderr)
    with closing(open_source(setup)) as source:
        snapshot = read_once(setup, source)
    firing, unknown, message = mail_now(snapshot, setup.policy, setup.head, now, redacted=send)
    if send:
        said, refused = send_now(setup, message)
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
