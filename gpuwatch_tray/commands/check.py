"""`check`: one evaluation for cron, and the two ways to try it out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from gpuwatch_tray import messages
from gpuwatch_tray.app import (
    ANSWER_WITHIN,
    Occupied,
    Setup,
    UsageError,
    WorkError,
    evaluator,
    evaluators_store,
    open_source,
    read_within,
)
from gpuwatch_tray.commands.mail import deliver_now, send_now
from gpuwatch_tray.commands.ps import SIMULATED
from gpuwatch_tray.evaluator import mail_now
from gpuwatch_tray.store import Store


def run(setup: Setup, *, dry_run: bool, test_mail: bool, clock: Callable[[], float] = time.time) -> int:
    """
    Evaluate once and send what is due before returning; silent when there is nothing to say.

    `dry_run` prints subject and body of what fires, past the cooldown, and changes nothing; `test_mail`
    sends now, whether anything fires or not, and starts no cooldown.
    """
    setup.require()
    if not setup.settings.to_email and not setup.simulated:
        raise UsageError(f"{setup.settings.config}: TO_EMAIL is not set: name who is to be mailed")
    if setup.simulated:
        print(SIMULATED)
    if dry_run or test_mail:
        return _try_out(setup, send=test_mail, now=clock())
    try:
        with evaluators_store(setup, "check") as store, closing(open_source(setup, store)) as source:
            outcome = evaluator(setup, store, clock, loop=False).evaluate(read_within(source, ANSWER_WITHIN))
            failures = [*outcome.gaps, *([outcome.trouble] if outcome.trouble else [])]
            if not setup.simulated:
                failures += deliver_now(setup, store)
    except Occupied as other:
        print(f"{other}: nothing evaluated here")
        with closing(Store(setup.settings.state, setup.host)) as store:
            failures = deliver_now(setup, store)
    _fail(failures)
    return 0


def _try_out(setup: Setup, *, send: bool, now: float) -> int:
    """`--dry-run` and `--test-mail`: without state, past the cooldown."""
    if send and setup.simulated:
        raise UsageError("a demo mails nowhere: leave out --demo to send a test mail")
    with closing(open_source(setup)) as source:
        snapshot = read_within(source, ANSWER_WITHIN)
    firing, unknown, message = mail_now(snapshot, setup.policy, setup.head, now)
    if send:
        print(send_now(setup, message))
    elif firing:
        sys.stdout.write(messages.dry_run(message))
    _fail(unknown)
    return 0


def _fail(lines: Sequence[str]) -> None:
    if lines:
        raise WorkError("\n".join(lines))
