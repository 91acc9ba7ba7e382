"""The outbox process: a child when a mail is due, one at a time, killed after its deadline."""

from __future__ import annotations

import json
import sqlite3  # an error code
import sys
import time

import pytest

from gpuwatch_tray.notify import outbox_process as outbox_module
from gpuwatch_tray.notify.outbox_process import CHECK_EVERY, OutboxProcess
from gpuwatch_tray.store import Store
from tests.store.commits import mail, message, step
from tests.support.fakes import START, Clock
from tests.support.timing import slowness

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]
# Children that are handed mails: what they answer, by the lines that they read.
ACCEPTS = """
import json, sys
assert sys.argv[1:] == ["--handed"], sys.argv
for line in sys.stdin:
    number, fields, attempts = json.loads(line)
    print("no answer", flush=True)
    print(json.dumps({"mail": number, "at": %s, "said": "way: 250 " + fields[3]}), flush=True)
"""
REFUSES = """
import json, sys
for line in sys.stdin:
    number = json.loads(line)[0]
    print(json.dumps({"mail": number, "at": %s, "said": "451 later", "blocked": False}), flush=True)
"""


@pytest.fixture
def parts(tmp_path, disk):
    store = Store(tmp_path, "box", keeper=True)
    yield store, Clock(), Clock(0.0)
    store.close()


@pytest.fixture
def ended():
    """Kill the children of these outbox processes with the test."""
    processes = []
    yield processes.append
    for process in processes:
        if process._child is not None:
            process._child.kill()
            process._child.wait(60)
        if process._exchange is not None:
            process._exchange.join(60)


def queue(store):
    store.commit(step(mail(1, ["a"])))


def marker(tmp_path):
    return [sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'a').write('x')"]


def until_reaped(outbox_process, seconds=20.0):
    end = time.monotonic() + seconds
    while outbox_process._child is not None:
        assert time.monotonic() < end
        outbox_process.tick()
        time.sleep(0.02)


def test_no_child_without_mail(parts, tmp_path):
    """An empty outbox starts nothing."""
    outbox_process = OutboxProcess(parts[0], marker(tmp_path), parts[1], parts[2])
    outbox_process.tick()
    assert outbox_process._child is None


def test_a_due_mail_starts_one_child(parts, tmp_path, ended):
    """A kick with a due mail starts the child, and while it runs no second one."""
    store, clock, monotonic = parts
    outbox_process = OutboxProcess(store, SLEEPS, clock, monotonic)
    ended(outbox_process)
    outbox_process.tick()
    queue(store)
    assert not outbox_process.tick()  # not kicked, and no check is due yet
    outbox_process.kick()
    assert outbox_process.tick()
    first = outbox_process._child
    outbox_process.kick()
    outbox_process.tick()
    assert outbox_process._child is first
    assert outbox_process.waiting.count == 1


def test_a_mail_that_waits_for_its_retry_is_left_alone_until_then(parts, ended):
    """The child is started when the retry is due, without a kick."""
    store, clock, monotonic = parts
    queue(store)
    (row,) = store.lease_due(START, 60)
    store.mark_retry(row.id, START + 30, "refused")
    outbox_process = OutboxProcess(store, SLEEPS, clock, monotonic)
    ended(outbox_process)
    outbox_process.tick()
    assert (outbox_process._child, outbox_process.waiting.error) == (None, "refused")
    clock.advance(30)
    outbox_process.tick()
    assert outbox_process._child is not None


def test_it_says_for_how_long_a_tick_would_find_nothing_to_do(parts, ended):
    """Until a retry is due or the outbox is looked at again; not at all after a kick, or beside a child."""
    store, clock, monotonic = parts
    outbox_process = OutboxProcess(store, SLEEPS, clock, monotonic)
    ended(outbox_process)
    assert outbox_process.idle_for == 0  # the first look is still to come
    outbox_process.tick()
    assert outbox_process.idle_for == CHECK_EVERY
    queue(store)
    (row,) = store.lease_due(START, 60)
    store.mark_retry(row.id, START + 30, "refused")
    outbox_process.kick()
    assert outbox_process.idle_for == 0
    outbox_process.tick()
    assert outbox_process.idle_for == 30
    clock.advance(50)
    assert outbox_process.idle_for == 0
    outbox_process.tick()
    monotonic.advance(1000)
    assert outbox_process._child is not None
    assert outbox_process.idle_for == 0


def test_a_child_that_dies_without_a_word_is_not_started_again_at_once(parts, tmp_path):
    """A child that leaves the outbox as it was costs one start a minute, not one a second."""
    store, clock, monotonic = parts
    queue(store)
    outbox_process = OutboxProcess(store, marker(tmp_path), clock, monotonic)
    for _ in range(130):
        outbox_process.tick()
        if outbox_process._child is not None:
            outbox_process._child.wait(60)
        monotonic.advance(1)
    assert (tmp_path / "ran").read_text() == "xxx"


GONE = ["/nowhere/python", "-m", "gpuwatch_tray"]
BROKEN = [sys.executable, "-c", "import no_such_module"]


def play(outbox_process, clock, monotonic, seconds):
    """Tick once a second; a child ends before the next tick."""
    for _ in range(seconds):
        outbox_process.tick()
        if outbox_process._child is not None:
            outbox_process._child.wait(60)
        clock.advance(1)
        monotonic.advance(1)


@pytest.mark.parametrize(("command", "why"), [(GONE, "No such file or directory"), (BROKEN, "exit code 1")])
def test_a_program_that_was_replaced_is_told_with_its_mend(parts, command, why):
    """The outbox holds the reason, so that status, queue, doctor and popup have it; it is tried again."""
    store, clock, monotonic = parts
    queue(store)
    outbox_process = OutboxProcess(store, command, clock, monotonic)
    health = outbox_module.MailHealth()
    health.popups(store.outbox_summary(clock.now), monotonic())
    play(outbox_process, clock, monotonic, 10)
    waiting = outbox_process.waiting
    assert (waiting.count, waiting.failure) == (1, "configuration")
    assert waiting.next_at <= clock.now + 60
    assert why in waiting.error
    assert "restart gpuwatch-tray" in waiting.error
    (popup,) = health.popups(waiting, monotonic())
    assert (popup.key, popup.body) == (outbox_module.BLOCKED_KEY, waiting.error)
    assert waiting.error in next(outbox_module.mail_notes(waiting, clock.now))


def test_a_child_that_fails_once_is_no_program_that_was_replaced(parts, tmp_path):
    """It may have met a locked state: the next one follows at once, and nobody is told to reinstall."""
    store, clock, monotonic = parts
    queue(store)
    program = tmp_path / "program"
    program.write_text(
        f"#!/bin/sh\nif [ -e {tmp_path}/tried ]; then touch {tmp_path}/ran; exit 0; fi\n"
        f"touch {tmp_path}/tried\nexit 1\n"
    )
    program.chmod(0o700)
    outbox_process = OutboxProcess(store, [str(program)], clock, monotonic)
    play(outbox_process, clock, monotonic, 4)
    assert (tmp_path / "ran").exists()
    assert outbox_process.waiting.error == ""


def test_a_program_that_works_again_sends_by_itself(parts, tmp_path):
    """Within a minute of the repair, without a restart."""
    store, clock, monotonic = parts
    queue(store)
    program = tmp_path / "program"
    outbox_process = OutboxProcess(store, [str(program)], clock, monotonic)
    play(outbox_process, clock, monotonic, 5)
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o700)
    play(outbox_process, clock, monotonic, 61)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("command", [GONE, BROKEN])
def test_another_installation_sends_where_this_one_was_replaced(parts, tmp_path, command):
    """The program that PATH finds takes its place at once, and nobody is bothered."""
    store, clock, monotonic = parts
    queue(store)
    outbox_process = OutboxProcess(store, command, clock, monotonic, fallback=lambda: marker(tmp_path))
    play(outbox_process, clock, monotonic, 4)
    assert (tmp_path / "ran").exists()
    assert outbox_process.waiting.error == ""


def test_neither_this_program_nor_the_other_one_starts(parts):
    """Both are tried again a minute later; the reason is told."""
    store, clock, monotonic = parts
    queue(store)
    outbox_process = OutboxProcess(store, GONE, clock, monotonic, fallback=lambda: BROKEN)
    play(outbox_process, clock, monotonic, 130)
    (row,) = store.unsent_mails()
    assert "restart gpuwatch-tray" in row.error
    assert row.attempts in (2, 3)


def test_a_program_that_was_replaced_leaves_a_digest_as_it_was(parts):
    """It may have been accepted before: the same mails go again under one Message-ID, one attempt later."""
    store, clock, monotonic = parts
    store.commit(step(mail(1, ["a"]), mail(2, ["b"])))

    def gather(_messages, _now):
        return message(99)

    clock.advance(7200)
    (digest,) = store.lease_due(clock.now, 60, gather)
    clock.advance(61)
    play(OutboxProcess(store, GONE, clock, monotonic), clock, monotonic, 3)
    waiting = [(row.digest, row.attempts) for row in store.unsent_mails()]
    assert waiting == [(digest.message.message_id, 1)] * 2


def test_on_a_full_disk_too_a_program_that_was_replaced_is_told(parts, disk):
    """The mails come back from the pipe with the reason."""
    store, clock, monotonic = parts
    outbox_process = OutboxProcess(store, GONE, clock, monotonic)
    with disk.failing(sqlite3.SQLITE_FULL):
        queue(store)
        play(outbox_process, clock, monotonic, 3)
        assert "restart gpuwatch-tray" in outbox_process.waiting.error


def test_a_child_that_hangs_is_ended(parts, caplog):
    """After the deadline the child is killed and named in the log."""
    store, clock, monotonic = parts
    queue(store)
    outbox_process = OutboxProcess(store, SLEEPS, clock, monotonic)
    outbox_process.tick()
    child = outbox_process._child
    clock.advance(1)
    monotonic.advance(outbox_module.DEADLINE)
    store.lease_due(clock.now, 600)  # so that nothing is due and no further child starts
    outbox_process.tick()
    assert child.returncode is not None
    assert (outbox_process._child, f"PID {child.pid}" in caplog.text) == (None, True)


def test_a_child_that_cannot_be_killed_stops_neither_the_polls_nor_is_it_joined_by_more(
    parts, monkeypatch, ended
):
    """As on a network disk that does not answer: looked at again at each tick, reaped once it has gone."""
    monkeypatch.setattr(outbox_module, "KILL_TIMEOUT", 0.01)
    store, clock, monotonic = parts
    queue(store)
    outbox_process = OutboxProcess(store, SLEEPS, clock, monotonic)
    ended(outbox_process)
    outbox_process.tick()
    child = outbox_process._child
    with monkeypatch.context() as stuck:
        stuck.setattr(child, "kill", lambda: None)
        for _ in range(3):
            clock.advance(outbox_module.DEADLINE)
            monotonic.advance(outbox_module.DEADLINE)
            assert not outbox_process.tick()
            assert outbox_process._child is child
    child.kill()
    child.wait(60)
    outbox_process.tick()
    assert outbox_process._child is not child


def test_on_a_full_disk_the_mails_are_handed_to_the_child(parts, disk):
    """It reads them from a pipe; what it answers is recorded in memory, and a line that is none is not."""
    store, clock, monotonic = parts
    queue(store)  # on disk, as it was not full yet
    outbox_process = OutboxProcess(store, [sys.executable, "-c", ACCEPTS % START], clock, monotonic)
    with disk.failing(sqlite3.SQLITE_FULL):
        assert outbox_process.tick()
        assert "disk is full" in store.trouble
        until_reaped(outbox_process)
        assert (store.outbox_summary(START).count, set(store.delivered("email"))) == (0, {"a"})
        assert not outbox_process.tick()


def test_what_the_child_could_not_send_waits_in_memory(parts, disk):
    """With the error and the time of the next attempt."""
    store, clock, monotonic = parts
    outbox_process = OutboxProcess(store, [sys.executable, "-c", REFUSES % (START + 30)], clock, monotonic)
    with disk.failing(sqlite3.SQLITE_FULL):
        queue(store)
        outbox_process.tick()
        until_reaped(outbox_process)
        assert (outbox_process.waiting.error, outbox_process.waiting.next_at) == ("451 later", START + 30)


def test_a_child_that_hangs_with_the_mails_keeps_them_until_it_is_ended(parts, disk, ended):
    """No second child gets them while the first may be sending; then they are due again."""
    store, clock, monotonic = parts
    outbox_process = OutboxProcess(store, SLEEPS, clock, monotonic)
    ended(outbox_process)
    with disk.failing(sqlite3.SQLITE_FULL):
        queue(store)
        outbox_process.tick()
        first = outbox_process._child
        clock.advance(outbox_module.DEADLINE)
        monotonic.advance(outbox_module.DEADLINE)
        outbox_process.tick()
        assert (first.returncode is not None, outbox_process._child) == (True, None)
        clock.advance(outbox_module.LEASE - outbox_module.DEADLINE)
        outbox_process.kick()
        outbox_process.tick()
        assert outbox_process._child is not None


def test_a_large_mail_does_not_hold_up_the_thread_that_hands_it_over(parts, disk, ended):
    """A child that does not read: the pipe is full, and the round ends all the same."""
    store, clock, monotonic = parts
    outbox_process = OutboxProcess(store, SLEEPS, clock, monotonic)
    ended(outbox_process)
    with disk.failing(sqlite3.SQLITE_FULL):
        store.commit(step(mail(1, ["a"] * 9), *(mail(n, [json.dumps(n)]) for n in range(2, 2000))))
        before = time.monotonic()
        outbox_process.tick()
        assert time.monotonic() - before < (outbox_module.PIPE_TIMEOUT + 2) * slowness()
