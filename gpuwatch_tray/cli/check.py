"""`check`: one evaluation for cron, and the trials --dry-run and --test-mail."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

from gpuwatch_tray.app.bootstrap import AlreadyRunningError, acquire_store, create_engine, open_store
from gpuwatch_tray.app.context import RunContext, WorkError, open_source, read_once
from gpuwatch_tray.cli.printing import show, warn
from gpuwatch_tray.common import host
from gpuwatch_tray.engine import mail_now
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import LABEL, EmailWhen
from gpuwatch_tray.store import StoreError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from gpuwatch_tray.cli.base import CommandGroup
    from gpuwatch_tray.model import Instant
    from gpuwatch_tray.settings import Settings


def add_commands(commands: CommandGroup) -> None:
    """Add `check`."""
    parser = commands.command(
        "check", check_once, _("check once and mail what is due, for cron"), "check --dry-run"
    )
    trial = parser.add_mutually_exclusive_group()
    trial.add_argument(
        "--dry-run", action="store_true", help=_("print the mail that would be sent; send nothing")
    )
    trial.add_argument(
        "--test-mail", action="store_true", help=_("send a test mail now, whatever the cooldown")
    )


def check_once(context: RunContext, args: argparse.Namespace) -> int:
    """Evaluate once and send what is due; the trials --dry-run and --test-mail change no state."""
    from gpuwatch_tray.app.deliver import deliver_now

    if context.problems or not args.dry_run:
        (context.require_recipient if args.test_mail else context.require_channel)()
    if context.simulated:
        print(_(LABEL))
    if args.dry_run:
        return _show_mail(context, now=host.now())
    if args.test_mail:
        warn(context)  # cron would mail them at each run
        _fail(send_test_mail(context, now=host.now()))
        return 0
    try:
        failures = _evaluate(context)
    except AlreadyRunningError as other:
        print(_("{watcher}: nothing checked here").format(watcher=other))
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
                _("the mail just sent cannot be recorded anywhere: the next `check` sends it again")
            )
        return failures


def _doubts(context: RunContext, other: AlreadyRunningError) -> list[str]:
    """Say why the other process may not be enough."""
    from gpuwatch_tray.app.tray_client import lock_problem

    doubts = [*filter(None, [lock_problem(context)])]
    if (trouble := other.holder.trouble) is not None:
        doubts.append(_("{watcher}, and reports: {trouble}").format(watcher=other, trouble=trouble))
    if not other.holder.mails:
        doubts.append(_("{watcher}, but sends no mail: TO_EMAIL is not set there").format(watcher=other))
    return doubts


def send_test_mail(context: RunContext, *, now: Instant) -> tuple[str, ...]:
    """
    Send a mail about what fires, without state, past the cooldown.

    Return a line for each thing that could not be read of the GPUs; raises WorkError where the mail, or one
    of its recipients, is refused.
    """
    from gpuwatch_tray.app.deliver import refuse_demo, send_now

    refuse_demo(context)
    with closing(open_source(context)) as source:
        snapshot = read_once(context, source)
    _firing, unknown, message = mail_now(snapshot, context.policy, context.mail_identity, now)
    sent, refused = send_now(context, message)
    show(sent)
    gaps = tuple(_("the mail was sent, but: {gap}").format(gap=line) for line in unknown)
    if refused:
        _fail((*refused, *gaps))
    return gaps


def _show_mail(context: RunContext, *, now: Instant) -> int:
    """Print the mail about what fires, without state, past the cooldown; notes go to standard error."""
    from gpuwatch_tray.app.control import dry_run
    from gpuwatch_tray.app.tray_client import try_request

    warn(context)
    answer = try_request(context, {"do": "dry run"}) if context.simulated else None
    if answer is None:
        with closing(open_source(context)) as source:
            answer = dry_run(context, read_once(context, source), now)
    sys.stdout.write(answer["mail"])
    sys.stdout.flush()
    if not answer["mail"] and not answer["unknown"]:
        print(_("nothing fires: no mail would be sent"), file=sys.stderr)
    for note in () if context.simulated else _mail_notes(context.settings):
        show(_("note: {text}").format(text=note), stream=sys.stderr, hang=2)
    _fail(answer["unknown"])
    return 0


def _mail_notes(settings: Settings) -> Iterator[str]:
    """Yield why the real run would mail nobody, if so."""
    from gpuwatch_tray.doctor.mail_checks import mail_trouble

    if not settings.to_email and settings.chats:
        yield _("no mail is sent, but the chats are told: {why}").format(why=settings.no_recipient)
    elif not settings.to_email:
        yield _("`check` itself would end with an error: {why}").format(why=settings.no_recipient)
    elif settings.routing.email_when is EmailWhen.NEVER:
        yield _("no mail is sent (EMAIL_WHEN=never)")
    else:
        yield from mail_trouble(settings).splitlines()


def _fail(lines: Iterable[str]) -> None:
    if text := "\n".join(lines):
        raise WorkError(text)
