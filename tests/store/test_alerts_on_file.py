"""The alerts on a real file: what one evaluation commits, the next finds, and what goes in the end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from gpuwatch_tray.alerts import Silence, SilenceScope
from gpuwatch_tray.model import Instant, Phase, Reason
from gpuwatch_tray.store import KnownGpu, StoreError, Transition
from gpuwatch_tray.store.incidents import INCIDENTS_KEPT, MOST_TRANSITIONS
from tests.store.commits import NOW, alert, fired, mail, step
from tests.support.fakes import START

FULL = alert(
    7,
    phase=Phase.RECOVERING,
    phase_seconds=12.5,
    samples=3,
    news=(Reason.SEVERITY_RISE, NOW),
    covered=True,
    text="3 GPUs in use",
)


def test_every_field_of_an_alert_survives(store, other):
    """What the person says of it is kept apart; all else comes back as it was."""
    store.commit(step(alerts=(FULL,)))
    memory = other.saved_state()
    assert memory.alerts == (FULL,)
    assert (memory.last, memory.highest) == (NOW, 7)
    assert memory.raised == ((FULL.fingerprint, NOW),)


def test_state_and_mail_are_one_transaction(store):
    """When the mail cannot be queued, the state is not written either."""
    store.commit(step(mail()))
    with pytest.raises(StoreError, match="cannot be written"):
        store.commit(fired())  # the same Message-ID twice
    assert store.saved_state().alerts == ()


def test_an_end_that_is_still_to_be_told_is_found_again(store, other):
    """A restart between the end of an alert and the mail about it loses neither."""
    over = replace(FULL, phase=Phase.RESOLVED, resolved=NOW)
    store.commit(step(ended=(over,)))
    assert other.saved_state().ended == (over,)
    store.commit(step(ended_without_mail=(over,)))
    assert (other.saved_state().ended, other.saved_state().alerts) == ((), ())
    assert other.history()[0] == [over]


def test_one_that_never_fired_leaves_nothing(store):
    """A dropped incident goes with its history; its number is not given twice while anything is on file."""
    line = Transition(START, 1, "pending")
    store.commit(step(alerts=(replace(FULL, id=1, fired=None),), transitions=(line,)))
    store.commit(step(dropped=(1,)))
    assert (store.saved_state().alerts, store.history()) == ((), ([], []))


def test_the_history_is_bounded(store):
    """The last incidents that are over are kept with their transitions; one that flaps fills no disk."""
    ended = [alert(n, phase=Phase.RESOLVED, resolved=NOW) for n in range(1, INCIDENTS_KEPT + 21)]
    lines = [Transition(START, each.id, "resolved") for each in ended]
    flapping = [Transition(START + n, 999, "fired", str(n)) for n in range(MOST_TRANSITIONS + 50)]
    store.commit(step(alerts=(alert(999),), ended_without_mail=tuple(ended), transitions=(*lines, *flapping)))
    past, transitions = store.history(INCIDENTS_KEPT + 50)
    assert [each.id for each in past] == list(range(INCIDENTS_KEPT + 20, 20, -1))
    assert sum(each.incident == 999 for each in transitions) == MOST_TRANSITIONS
    assert max(each.at for each in transitions if each.incident == 999) == START + MOST_TRANSITIONS + 49
    assert {each.incident for each in transitions} == {999, *range(21, INCIDENTS_KEPT + 21)}


def test_an_end_that_is_owed_is_never_pruned(store):
    """However many ended after it: somebody is still to be told."""
    owed = alert(1, phase=Phase.RESOLVED, resolved=NOW)
    store.commit(step(ended=(owed,)))
    store.commit(
        step(ended_without_mail=tuple(alert(n, phase=Phase.RESOLVED) for n in range(2, INCIDENTS_KEPT + 20)))
    )
    assert store.saved_state().ended == (owed,)


def test_what_the_person_said_is_there_for_the_evaluator(store, other):
    """Acknowledged by one process, seen by the other; taken back, lifted and resumed."""
    store.commit(fired())
    other.acknowledge([1], [Transition(START, 1, "acknowledged")], START)
    hour = Silence(SilenceScope.RULE, "gpu_limit", NOW, 3600.0)
    other.add_silence(hour)
    attention = store.evaluation_inputs().attention
    assert (attention.acknowledged, attention.silences) == ({1}, (hour,))
    store.commit(step(voided=(1,), expired_silences=(hour,)))
    assert store.attention() == type(attention)()
    store.add_silence(hour)
    assert (other.end_silences(), other.end_silences()) == (1, 0)


def test_a_snooze_that_was_renewed_meanwhile_is_not_lifted(store, other):
    """The evaluator lifts the one that ran out, not the one that the person has set since."""
    old = Silence(SilenceScope.ALL, "", NOW, 60.0)
    store.add_silence(old)
    new = replace(old, at=Instant(START + 61, 561.0, "boot-1"))
    other.add_silence(new)
    store.commit(step(expired_silences=(old,)))
    assert store.attention().silences == (new,)


def test_names_from_outside_are_only_values(store):
    """A fingerprint, a rule or a UUID that looks like SQL is stored as it is."""
    evil = "x'); DROP TABLE incidents; --"
    store.commit(step(mail(1, (evil,)), alerts=(alert(1, evil),), gpus=(KnownGpu(evil, 0, evil, START),)))
    store.record_delivery([evil], "desktop", NOW)
    assert store.saved_state().alerts[0].fingerprint == evil
    assert (store.gpus()[0].uuid, set(store.evaluation_inputs().queued["email"])) == (evil, {evil})
    assert not store.forget_gpu("' OR 1=1 --")
    assert store.forget_gpu(evil)


def test_sightings_are_replaced_as_a_whole(store):
    """What the command source has seen is what it sees now."""
    store.save_sightings({(1, "x"): START, (2, "y"): START})
    store.save_sightings({(2, "y"): START})
    assert store.sightings() == {(2, "y"): START}


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_the_state_is_private(store):
    """Command lines stand in queued mails: nobody else may read the file, nor what SQLite keeps beside it."""
    store.commit(fired())
    for path in store.path.parent.glob("*.sqlite3*"):
        assert path.suffix == ".lock" or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="Linux's list of locks")
def test_closing_one_store_leaves_the_locks_of_another(store, other, journal):
    """Another descriptor of the file, closed, would drop SQLite's locks of this process on it."""
    store.commit(fired())
    before = _locks(store.path)
    assert before or journal == "DELETE"
    type(store)(store.path.parent, "box").close()
    assert _locks(store.path) == before


def _locks(path):
    number = f":{path.stat().st_ino} "
    lines = Path("/proc/locks").read_text("ascii").splitlines()
    return sum(f" {os.getpid()} " in line and number in line for line in lines)
