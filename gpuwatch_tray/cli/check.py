"""`check`: one evaluation for cron, and the trials --dry-run and --test-mail."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

from gpuwatch_tray.app.bootstrap import (
    AlreadyRunningError,
    RunContext,
    UsageError,
    WorkError,
    acquire_store,
    create_engine,
    open_source,
    open_store,
    read_once,
)
from gpuwatch_tray.common import host
from gpuwatch_tray.engine import mail_now
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import LABEL
from gpuwatch_tray.notify import render
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from gpuwatch_tray.cli.base import CommandGroup
    from gpuwatch_tray.model import Instant


def add_commands(commands: CommandGroup) -> None:
    """Add `check`."""
    parser = commands.command("check", check_once, _("evaluate once, for cron"), "check --dry-run")
    trial = parser.add_mutually_exclusive_group()
    trial.add_argument("--dry-run", action="store_true", help=_("print subject and body, send nothing"))
    trial.add_argument("--test-mail", action="store_true", help=_("send a mail now, past the cooldown"))


def check_once(context: RunContext, args: argparse.Namespace) -> int:
    """Evaluate once and send what is due; the trials --dry-run and --test-mail change no state."""
    from gpuwatch_tray.app.deliver import deliver_now

    if not context.settings.to_email and not context.simulated:
        lines = [*map(str, context.problems), context.settings.no_recipient]
        raise UsageError("\n".join(dict.fromkeys(lines)))
    context.require_valid_settings()
    if context.simulated:
        print(_(LABEL))
    if args.dry_run or args.test_mail:
        return _try_out(context, send=args.test_mail, now=host.now())
    try:
        failures = _evaluate(context)
    except AlreadyRunningError as other:
        print(_("{watcher}: nothing evaluated here").format(watcher=other))
        failures = _doubts(context, other)
        try:
            with closing(open_store(context)) as store:
                failures += deliver_now(context, store)
        except StoreError as error:  # as while the other one has the mails: the doubts tell why
            failures.append(str(error))
    _fail(failures)
    return 0


def _evaluate(context: RunContext) -> list[str]:
    from gpuwatch_tray.app.deliver import deliver_now

    with acquire_store(context, "check") as lease, closing(open_source(context, lease.store)) as source:
        outcome = create_engine(context, lease.store, in_loop=False).evaluate(read_once(context, source))
        failures = [*outcome.gaps, *([outcome.trouble] if outcome.trouble else [])]
        if not context.simulated:
            failures += deliver_now(context, lease.store)
        if lease.store.is_forgotten:
            failures.append(
                _("what was mailed now cannot be noted anywhere: the next `check` mails it again")
            )
        return failures


def _doubts(context: RunContext, other: AlreadyRunningError) -> list[str]:
    """Say why the other process may not be enough."""
    from gpuwatch_tray.app.tray_client import lock_problem

    doubts = [*filter(None, [lock_problem(context)])]
    if (trouble := other.holder.trouble) is not None:
        doubts.append(_("{watcher}, and says: {trouble}").format(watcher=other, trouble=trouble))
    if not other.holder.mails:
        doubts.append(_("{watcher}, but sends no mail: TO_EMAIL is not set there").format(watcher=other))
    return doubts


def _try_out(context: RunContext, *, send: bool, now: Instant) -> int:
    """Run a trial: without state, past the cooldown."""
    from gpuwatch_tray.app.deliver import refuse_demo, send_now

    if send:
        refuse_demo(context)
    for warning in context.settings.warnings:  # cron would mail them at each run
        print(warning, file=sys.stderr)
    with closing(open_source(context)) as source:
        snapshot = read_once(context, source)
    firing, unknown, message = mail_now(snapshot, context.policy, context.mail_identity, now, redacted=send)
    if send:
        sent, refused = send_now(context, message)
        print(sent)
        gaps = [_("the mail was sent, but: {gap}").format(gap=line) for line in unknown]
        unknown = (*refused, *gaps)
    elif firing:
        sys.stdout.write(render.dry_run(message))
    _fail(unknown)
    return 0


def _fail(lines: Iterable[str]) -> None:
    if text := "\n".join(lines):
        raise WorkError(text)
