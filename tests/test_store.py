"""The store on a real file: one transaction a change, leases, and what survives."""

from __future__ import annotations

import os
import sqlite3  # noqa: TID251  # to write a file that the store has not written
import stat

import pytest

from gpuwatch_tray.model import Alert, Message, MessageKind, Severity
from gpuwatch_tray.store import Store, StoreError, Waiting
from tests.fakes import START

ALERT = Alert("box/gpu_limit", "gpu_limit", "", Severity.WARNING, "GPU_COUNT(3) > GPU_LIMIT(2)", START, 3)


def message(number=1, created=START):
    return Message(f"subject {number}", "text ü\n", created, f"<{number}@box>", MessageKind.ALERT)


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "state", "box")
    yield opened
    opened.close()


def test_alerts_survive_a_restart(store, tmp_path):
    """What one run committed, the next one finds."""
    store.commit({ALERT.fingerprint: ALERT}, START)
    other = Store(tmp_path / "state", "box")
    assert other.active() == {ALERT.fingerprint: ALERT}
    other.close()


def test_state_and_mail_are_one_transaction(store):
    """When the mail cannot be queued, the state is not written either."""
    store.commit({}, START, (message(), ["a"]))
    with pytest.raises(StoreError, match="cannot be written"):
        store.commit({ALERT.fingerprint: ALERT}, START, (message(), ["a"]))  # the same Message-ID twice
    assert store.active() == {}


def test_a_queued_mail_is_leased_once(store, tmp_path):
    """Two processes never get the same mail, until the lease of the first has run out."""
    store.commit({}, START, (message(), ["a"]))
    other = Store(tmp_path / "state", "box")
    (mine,) = store.lease_due(START, 60)
    assert (mine.message, mine.fingerprints) == (message(), ("a",))
    assert other.lease_due(START + 59, 60) == ()
    assert len(other.lease_due(START + 60, 60)) == 1
    other.close()


def test_two_that_look_at_once_do_not_both_get_the_mail(store, tmp_path):
    """A clock that was read a moment before another process took the lease does not make that lease stale."""
    store.commit({}, START, (message(), ["a"]))
    other = Store(tmp_path / "state", "box")
    assert len(store.lease_due(START + 0.001, 60)) == 1
    assert other.lease_due(START, 60) == ()
    other.close()


def test_only_a_sent_mail_starts_the_cooldown(store):
    """A failure leaves the mail waiting with its error; success records when each alert was told."""
    store.commit({}, START, (message(), ["a", "b"]))
    (mail,) = store.lease_due(START, 60)
    store.mark_retry(mail.id, START + 30, "connection refused")
    assert store.delivered("email") == {}
    assert store.queued() == {"a", "b"}
    assert store.waiting(START) == Waiting(1, START, START + 30, "connection refused")
    assert store.lease_due(START + 29, 60) == ()
    (again,) = store.lease_due(START + 30, 60)
    assert (again.attempts, again.message.message_id) == (1, "<1@box>")
    store.mark_sent(again.id, START + 31, "250 ok")
    assert store.delivered("email") == {"a": START + 31, "b": START + 31}
    assert (store.queued(), store.waiting(START)) == (frozenset(), Waiting())


def test_channels_cool_down_apart(store):
    """A popup says nothing about the mail of the same alert."""
    store.record_delivery(["a"], "desktop", START)
    assert (store.delivered("desktop"), store.delivered("email")) == ({"a": START}, {})


@pytest.mark.parametrize("ahead", [3 * 3600, 10 * 86400])
def test_a_clock_set_back_does_not_strand_a_mail(store, ahead):
    """What was queued or put back by a clock that was ahead is due at once, and whoever asks is told so."""
    store.commit({}, START, (message(created=START + ahead), ["a"]))
    (mail,) = store.lease_due(START + ahead, 60)
    store.mark_retry(mail.id, START + ahead + 30, "refused")
    assert store.waiting(START).next_at == 0
    assert len(store.lease_due(START, 60)) == 1


def test_waking_makes_what_waits_due(store):
    """When what kept mails back has been mended, none waits for its next attempt."""
    store.commit({}, START, (message(), ["a"]))
    (mail,) = store.lease_due(START, 60)
    store.mark_retry(mail.id, START + 14400, "wrong password", blocked=True)
    store.wake(START + 60)
    assert len(store.lease_due(START + 60, 60)) == 1


def test_old_deliveries_and_sent_mails_go(store):
    """After thirty days nothing is left of what is over."""
    store.commit({}, START, (message(), ["a"]))
    (mail,) = store.lease_due(START, 60)
    store.mark_sent(mail.id, START, "")
    store.commit({}, START + 31 * 86400)
    assert store.delivered("email") == {}


def test_sightings_are_replaced_as_a_whole(store):
    """What the command source has seen is what it sees now."""
    store.save_sightings({(1, "x"): START, (2, "y"): START})
    store.save_sightings({(2, "y"): START})
    assert store.sightings() == {(2, "y"): START}


def test_a_damaged_file_is_set_aside_and_watching_goes_on(tmp_path, caplog):
    """A file that is not a database is renamed, named in the log, and replaced."""
    (tmp_path / "state-box.sqlite3").write_bytes(b"not a database" * 100)
    store = Store(tmp_path, "box")
    store.commit({ALERT.fingerprint: ALERT}, START)
    assert len(store.active()) == 1
    store.close()
    (aside,) = tmp_path.glob("state-box.sqlite3.damaged-*")
    assert aside.read_bytes().startswith(b"not a database")
    assert aside.name in caplog.text


def test_a_state_of_the_future_is_left_alone(tmp_path):
    """A newer version's file is refused with its name, not changed."""
    path = tmp_path / "state-box.sqlite3"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match=r"state-box\.sqlite3: written by a newer"):
        Store(tmp_path, "box")


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    """The error names the file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"state-box\.sqlite3: the state cannot be opened"):
        Store(tmp_path / "file", "box")


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_the_state_is_private(store):
    """Command lines stand in queued mails: nobody else may read the file."""
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
