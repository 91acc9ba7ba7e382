"""
The short-lived child process that sends what is due on a channel, and what the person learns of the outbox.

The mail libraries, and those of the chats, live in the child alone. One that hangs is killed, and its leased
mails become due again.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING, cast

from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import Button, Popup, Severity
from gpuwatch_tray.model.units import local_time
from gpuwatch_tray.notify.transport import FailureKind, configuration_error
from gpuwatch_tray.store import EMAIL, OutboxSummary, Store, StoreError, outbox_pipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gpuwatch_tray.store import Gather


log = logging.getLogger(__name__)

DEADLINE = 180.0  # seconds for one child; a mail's own time-outs end well before
LEASE = DEADLINE + 20.0  # seconds of the lease of mails that are piped to a child: beyond its deadline
RESTART_PAUSE = 60.0  # seconds before the next child where the last one left the outbox unchanged
CHECK_EVERY = 60.0  # seconds between checks of the outbox, which another process may have changed
PIPE_TIMEOUT = 2.0  # seconds for the child to read the mails from the pipe
RECORD_RETRY = 1.0  # seconds between attempts to record its answers
KILL_TIMEOUT = 5.0  # seconds for a killed child to end; one that hangs in the kernel does not


class OutboxProcess:
    """
    Starts `command` whenever a mail is due, one child at a time.

    Call `tick` about once a second, or after the seconds of `idle_for`. The child leases the mails itself;
    while the outbox is in memory, it gets `--handed` and the mails by a pipe, and `gather` makes one of a
    stale backlog. Where the command does not start, as its program was replaced, `fallback` names another;
    without one the mails wait with that reason. `clock` is wall time. Each `channel` has a process of its
    own, so that one that hangs holds up no other.
    """

    def __init__(
        self,
        store: Store,
        command: Sequence[str],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        gather: Gather | None = None,
        *,
        fallback: Callable[[], Sequence[str]] = tuple,
        channel: str = EMAIL,
    ) -> None:
        self._store = store
        self.channel = channel
        self._own_command, self._fallback = list(command), fallback
        self._exit_code = 0  # the last child's, until it is judged
        self._failed = False  # whether the last one that was judged failed and did nothing
        self._gather = gather
        self._command = list(command)
        self._clock = clock
        self._monotonic = monotonic
        self._check_requested = threading.Event()
        self._check_requested.set()
        self._checked_at = monotonic()
        self._child: subprocess.Popen[bytes] | None = None
        self._exchange: _PipeExchange | None = None
        self._killed = False
        self._started = 0.0
        self._waiting = OutboxSummary()
        self._checked = False
        self._before_child: OutboxSummary | None = None  # the outbox when the last child was started

    @property
    def waiting(self) -> OutboxSummary:
        """What waits in the outbox, at the last check."""
        return self._waiting

    @property
    def idle_for(self) -> float:
        """The seconds after which a tick has something to do; 0 while a child is at work."""
        if self._child is not None or self._check_requested.is_set():
            return 0.0
        rest = self._checked_at + CHECK_EVERY - self._monotonic()
        if self._waiting.next_at is not None:
            rest = min(rest, self._waiting.next_at - self._clock())
        return max(rest, 0.0)

    def kick(self) -> None:
        """Check the outbox at the next tick: something was queued."""
        self._check_requested.set()

    def tick(self) -> bool:
        """Reap the child, check the outbox, start a child; True when what waits has changed, and at first."""
        if self._child is not None and not self._reaped(self._child):
            return False
        now = self._clock()
        due = self._waiting.next_at is not None and self._waiting.next_at <= now
        if not (self._check_requested.is_set() or due or self._monotonic() - self._checked_at >= CHECK_EVERY):
            return False
        before = self._waiting if self._checked else None
        self._check_requested.clear()
        self._checked_at = self._monotonic()
        try:
            self._waiting = self._store.outbox_summary(now, self.channel)
            self._checked = True
            self._judge_exit(now)
            due = self._waiting.next_at is not None and self._waiting.next_at <= now
            if due and not self._is_pausing():
                self._start(now)
        except StoreError as error:
            log.warning("the mail delivery could not be started: %s", error)
            return False
        return self._waiting != before

    def _judge_exit(self, now: float) -> None:
        """Take a program for one that does not start where two children in a row failed and did nothing."""
        # One alone may have met a state that another process had locked.
        exit_code, self._exit_code = self._exit_code, 0
        if not exit_code:
            return
        failed_before, self._failed = self._failed, self._waiting == self._before_child
        if self._failed and failed_before:
            self._failed = False
            self._cannot_start(now, _("exit code {code}").format(code=exit_code))
        elif self._failed:
            self._before_child = None  # the second at once

    def _is_pausing(self) -> bool:
        """Return whether the last child left the outbox unchanged a short time ago, as it died, say."""
        return self._waiting == self._before_child and self._monotonic() - self._started < RESTART_PAUSE

    def _start(self, now: float) -> None:
        self._started, self._before_child = self._monotonic(), self._waiting
        self._store.try_writing()  # only then does a full disk show
        try:
            if self._store.trouble is None:
                self._child = self._popen(subprocess.DEVNULL, subprocess.DEVNULL)
                return
            self._child = self._popen(subprocess.PIPE, subprocess.PIPE, "--handed")
        except OSError as error:
            self._cannot_start(now, f"{self._command[0]}: {error.strerror}")
            return
        rows = self._store.lease_due(now, LEASE, self._gather, channel=self.channel)
        self._exchange = _PipeExchange(self._store, self._child, outbox_pipe.encode_mails(rows))
        self._exchange.written.wait(PIPE_TIMEOUT)

    def _cannot_start(self, now: float, why: str) -> None:
        """Take the other program, if there is one; else put the mails back with the reason, for a minute."""
        other = list(self._fallback()) if self._command == self._own_command else []
        log.error("the mail delivery does not start: %s", why)
        self._command = other or self._own_command
        if other:
            self._before_child = None  # no pause
            self._check_requested.set()
            return
        text = _("the program that sends the mail does not start ({why}): was it replaced?")
        error = configuration_error(text.format(why=why), _("restart gpuwatch-tray, or install it again"))
        failure = error.kind.value
        leased = self._store.lease_due(now, LEASE, channel=self.channel)
        for mail in {mail.digest or mail.id: mail for mail in leased}.values():  # of a digest, one for all
            self._store.mark_retry(mail.id, now + RESTART_PAUSE, str(error), blocked=True, failure=failure)
        self._waiting = self._store.outbox_summary(now, self.channel)

    def _popen(self, stdin: int, stdout: int, *options: str) -> subprocess.Popen[bytes]:
        # In a session of its own, so that it survives Ctrl-C in the terminal and the tray's end.
        return subprocess.Popen(
            [*self._command, *options], stdin=stdin, stdout=stdout, start_new_session=True
        )

    def _reaped(self, child: subprocess.Popen[bytes]) -> bool:
        if child.poll() is None or (self._exchange is not None and self._exchange.is_alive()):
            if self._monotonic() - self._started < DEADLINE:
                return False
            if not self._killed:
                log.error("the mail delivery (PID %d) did not end within %g s: ended", child.pid, DEADLINE)
                child.kill()
                self._killed = True
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(KILL_TIMEOUT)
            if child.poll() is None:
                return False  # on a disk that does not answer, say, the next one would hang too
        self._exit_code = 0 if self._killed else child.returncode
        self._child = self._exchange = None
        self._killed = False
        self._check_requested.set()
        return True


class _PipeExchange(threading.Thread):
    """Writes the mails to the child and records each of its answers; ends with the child."""

    def __init__(self, store: Store, child: subprocess.Popen[bytes], mails: bytes) -> None:
        super().__init__(name="mail handover", daemon=True)
        self.written = threading.Event()
        self._store = store
        self._stdin = cast("IO[bytes]", child.stdin)  # the child is started with pipes
        self._stdout = cast("IO[bytes]", child.stdout)
        self._mails = mails
        self._until = time.monotonic() + DEADLINE
        self.start()

    def run(self) -> None:
        """Write, then read until the child ends: a pipe may block on either."""
        try:
            with self._stdin:
                self._stdin.write(self._mails)
        except OSError as error:
            log.warning("the mail delivery took no mail: %s", error)
        self.written.set()
        with self._stdout:
            for line in self._stdout:
                self._record(line)

    def _record(self, line: bytes) -> None:
        """Record an answer, retrying until the deadline: an unrecorded mail would be sent again."""
        while True:
            try:
                outbox_pipe.record_answer(self._store, line)
            except StoreError as error:
                if time.monotonic() >= self._until:
                    log.warning("an answer of the mail delivery cannot be recorded: %s", error)
                    return
                time.sleep(RECORD_RETRY)
            else:
                return


LATE_AFTER = 300.0  # seconds after which a mail that waits without an error gets a note
BLOCKED_KEY, DEAD_KEY = "mail-blocked", "mail-dead"  # of the popups
TELL_AGAIN = 60.0  # seconds until a popup that could not be shown is tried again
BLOCKING = frozenset({FailureKind.CONFIGURATION.value, FailureKind.SIGN_IN.value})


MOST_REFUSALS = 3  # of a chat: a first 401 or 404 may be the service's own mistake


def chat_notes(name: str, waiting: OutboxSummary, now: float) -> Iterator[str]:
    """Yield the menu's lines about a chat; none while all is well or is being sent."""
    late = waiting.oldest is not None and now - waiting.oldest > LATE_AFTER
    if waiting.count and (waiting.error or late):
        text = ngettext("{count} message waits", "{count} messages wait", waiting.count)
        text = text.format(count=waiting.count)
        if waiting.oldest is not None:
            text = _("{mails} since {time}").format(mails=text, time=local_time(waiting.oldest, "%H:%M"))
        yield _("Chat {name}: {text}").format(name=name, text=text) + (
            f": {waiting.error}" if waiting.error else ""
        )
    if waiting.held:
        text = ngettext(
            "{count} message is held for a digest (hourly limit reached)",
            "{count} messages are held for a digest (hourly limit reached)",
            waiting.held,
        )
        yield _("Chat {name}: {text}").format(name=name, text=text.format(count=waiting.held))
    if waiting.dead:
        text = ngettext(
            "{count} message was given up (`gpuwatch-tray outbox`): {error}",
            "{count} messages were given up (`gpuwatch-tray outbox`): {error}",
            waiting.dead,
        )
        text = text.format(count=waiting.dead, error=waiting.dead_error)
        yield _("Chat {name}: {text}").format(name=name, text=text)


def mail_notes(waiting: OutboxSummary, now: float) -> Iterator[str]:
    """Yield the lines for the menu; none while all is well or is being sent."""
    late = waiting.oldest is not None and now - waiting.oldest > LATE_AFTER
    if waiting.count and (waiting.error or late):
        yield _waiting_line(waiting)
    if waiting.held:
        yield ngettext(
            "Email: {count} mail is held for a digest (hourly limit reached)",
            "Email: {count} mails are held for a digest (hourly limit reached)",
            waiting.held,
        ).format(count=waiting.held)
    if waiting.dead:
        yield ngettext(
            "Email: {count} mail was given up (`gpuwatch-tray mail queue`): {error}",
            "Email: {count} mails were given up (`gpuwatch-tray mail queue`): {error}",
            waiting.dead,
        ).format(count=waiting.dead, error=waiting.dead_error)


class MailHealth:
    """
    The popups about the outbox, one each time a person has to act; a passing failure repeats none.

    One that could not be shown is due again after TELL_AGAIN. `now` is on the monotonic clock. With a `chat`
    it is about that one's messages, and a refusal is told at the third.
    """

    def __init__(self, chat: str = "") -> None:
        self._chat = chat
        suffix = f":{chat}" if chat else ""
        self._blocked_key, self._dead_key = f"{BLOCKED_KEY}{suffix}", f"{DEAD_KEY}{suffix}"
        self._failure = ""
        self._dead: int | None = None  # those of before the start have been told
        self._again: dict[str, float] = {}  # keys of popups that were not shown, and when they are due again

    def popups(self, waiting: OutboxSummary, now: float) -> tuple[Popup, ...]:
        """Return the popups to show now that `waiting` is what waits."""
        failure = waiting.failure
        early = self._chat and waiting.attempts < MOST_REFUSALS
        if waiting.error and (failure not in BLOCKING or early):
            failure = self._failure
        due = {key for key, at in self._again.items() if at <= now}
        is_news = {
            self._blocked_key: failure != self._failure
            or (self._blocked_key in due and failure == waiting.failure),
            self._dead_key: (self._dead is not None and waiting.dead > self._dead) or self._dead_key in due,
        }
        self._failure, self._dead = failure, waiting.dead
        self._again = {key: at for key, at in self._again.items() if not is_news[key]}
        popups = []
        if failure and is_news[self._blocked_key]:
            buttons = (Button.SIGN_IN,) if failure == FailureKind.SIGN_IN.value else ()
            title = _("Mail cannot be sent until you act")
            if self._chat:
                title = _("Chat {name} is not reached until you act").format(name=self._chat)
            popups.append(Popup(self._blocked_key, title, waiting.error, Severity.WARNING, buttons))
        if waiting.dead and is_news[self._dead_key]:
            title = _("A mail was permanently refused")
            if self._chat:
                title = _("Messages to chat {name} were given up").format(name=self._chat)
            popups.append(Popup(self._dead_key, title, self._given_up(waiting), Severity.WARNING))
        return tuple(popups)

    def is_due(self, now: float) -> bool:
        """Return whether a popup that could not be shown is to be tried again."""
        return any(at <= now for at in list(self._again.values()))

    def record_popup(self, key: str, now: float, *, shown: bool) -> None:
        """Note that the popup was shown, or could not be; from any thread."""
        if not shown:
            self._again |= {key: now + TELL_AGAIN}

    def closed_keys(self, waiting: OutboxSummary) -> tuple[str, ...]:
        """Return the keys of the popups that are obsolete now; call it before `popups`."""
        return (self._blocked_key,) if self._failure and not waiting.error else ()

    def _given_up(self, waiting: OutboxSummary) -> str:
        advice = _("`gpuwatch-tray mail queue` lists it; `mail retry` sends it again, `mail drop` deletes it")
        if self._chat:
            advice = _("`gpuwatch-tray outbox` lists them, with how to send them again or drop them")
        return f"{waiting.dead_error}\n{advice}"


def _waiting_line(waiting: OutboxSummary) -> str:
    mails = ngettext("{count} mail waits", "{count} mails wait", waiting.count).format(count=waiting.count)
    if waiting.oldest is not None:
        since = local_time(waiting.oldest, "%H:%M")
        mails = _("{mails} since {time}").format(mails=mails, time=since)
    return _("Email: {mails}").format(mails=mails) + (f": {waiting.error}" if waiting.error else "")
