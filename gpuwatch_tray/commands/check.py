"""`check`: one evaluation for cron, and the two ways to try it out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from gpuwatch_tray import messages
from gpuwatch_tray.app import (
    ANSWER_WITHIN,
    Setup,
    UsageError,
    WorkError,
    evaluator,
    open_source,
    read_within,
    state_folder,
)
from gpuwatch_tray.commands.mail import deliver_now, send_now
from gpuwatch_tray.commands.ps import SIMULATED
from gpuwatch_tray.evaluator import mail_now
from gpuwatch_tray.lock import WatchLock
from gpuwatch_tray.rules.scope import gaps
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
    with state_folder(setup) as folder:
        lock = WatchLock(folder, setup.host, "check")
        if not lock.acquire():
            return _beside(setup, lock)
        store = Store(folder, setup.host)
        source = open_source(setup, store)
        try:
            outcome = evaluator(setup, store, clock, loop=False).evaluate(read_within(source, ANSWER_WITHIN))
            failures = [*outcome.gaps, *([outcome.trouble] if outcome.trouble else [])]
            if not setup.simulated:
                failures += deliver_now(setup, store)
        finally:
            source.close()
            store.close()
            lock.release()
    _fail(failures)
    return 0


def _beside(setup: Setup, lock: WatchLock) -> int:
    """Another process evaluates on this host: send what is due, and say who watches."""
    print(f"{lock.holder()} watches on {setup.host}: nothing evaluated here")
    store = Store(setup.settings.state, setup.host)
    try:
        failures = deliver_now(setup, store)
    finally:
        store.close()
    _fail(failures)
    return 0


def _try_out(setup: Setup, *, send: bool, now: float) -> int:
    """`--dry-run` and `--test-mail`: without state, past the cooldown."""
    if send and setup.simulated:
        raise UsageError("a demo mails nowhere: leave out --demo to send a test mail")
    source = open_source(setup)
    try:
        snapshot = read_within(source, ANSWER_WITHIN)
    finally:
        source.close()
    firing, message = mail_now(snapshot, setup.policy, setup.head, now)
    if send:
        print(send_now(setup, message))
    elif firing:
        sys.stdout.write(messages.dry_run(message))
    _fail(gaps(snapshot))
    return 0


def _fail(lines: Sequence[str]) -> None:
    if lines:
        raise WorkError("\n".join(lines))
