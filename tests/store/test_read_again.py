"""That an evaluation reads the state only where somebody has written, and then what was written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuwatch_tray.alerts import Silence, SilenceScope
from gpuwatch_tray.store import Store, StoreError
from gpuwatch_tray.store.store import read_evaluation_inputs
from tests.store.commits import NOW, alert, fired, mail, step
from tests.support.fakes import START

SNOOZE = Silence(SilenceScope.ALL, "", NOW, 3600.0)


def statements(store):
    """Return the list to which every statement of this store is added from now on."""
    made = []
    store._database._open.set_trace_callback(made.append)
    return made


def fresh(store):
    """What a reading of everything gives."""
    return store._database.read(read_evaluation_inputs)


def test_an_idle_evaluation_asks_one_thing(store):
    """Whether another process has written; of its own writing the store knows."""
    store.commit(fired())
    first = store.evaluation_inputs()
    made = statements(store)
    assert store.evaluation_inputs() is first
    assert made == ["PRAGMA data_version"]


def test_what_this_process_writes_is_read_at_once(store):
    """SQLite counts the writing of other connections only."""
    before = store.evaluation_inputs()
    store.add_silence(SNOOZE)
    assert (before.attention.silences, store.evaluation_inputs().attention.silences) == ((), (SNOOZE,))


def test_what_another_process_writes_is_read_at_once(store, other):
    """In either journal mode."""
    before = store.evaluation_inputs()
    other.add_silence(SNOOZE)
    assert (before.attention.silences, store.evaluation_inputs().attention.silences) == ((), (SNOOZE,))


def test_a_file_that_takes_the_place_of_another_is_read(store):
    """As where a damaged one was set aside by another process."""
    store.add_silence(SNOOZE)
    assert store.evaluation_inputs().attention.silences == (SNOOZE,)
    aside = store.path.with_name("aside")
    for end in ("", "-wal", "-shm", "-journal"):
        file = store.path.with_name(store.path.name + end)
        if file.exists():
            file.rename(aside.with_name(aside.name + end))
    with closing(Store(store.path.parent, "box")) as new:
        new.commit(fired(7))
    again = store.evaluation_inputs()
    assert (again.attention.silences, set(again.queued["email"])) == ((), {"box/gpu_limit"})


def test_a_reading_that_failed_is_made_anew(store, other, monkeypatch):
    """The last one that succeeded is not taken for it."""
    before = store.evaluation_inputs()
    other.add_silence(SNOOZE)

    def fail(_database):
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr("gpuwatch_tray.store.store.read_evaluation_inputs", fail)
        with pytest.raises(StoreError):
            store.evaluation_inputs()
    assert before.attention.silences == ()
    assert store.evaluation_inputs().attention.silences == (SNOOZE,)


NUMBERS = count(1)  # no two mails have the same
ACTS = {
    "commit": lambda store, n: store.commit(step(mail(n, [f"a{n}"]), alerts=(alert(n, f"a{n}"),))),
    "silence": lambda store, n: store.add_silence(
        Silence(SilenceScope.RULE, f"rule{n}", NOW, 60.0 * (n + 1))
    ),
    "end silences": lambda store, _n: store.end_silences(),
    "acknowledge": lambda store, n: store.acknowledge([n], (), START),
    "deliver": lambda store, n: store.record_delivery([f"a{n}"], "desktop", NOW),
    "lease": lambda store, n: store.lease_due(START + n, 60.0),
    "nothing": lambda _store, _n: None,
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(acts=st.lists(st.tuples(st.booleans(), st.sampled_from(sorted(ACTS))), max_size=12))
def test_whoever_writes_what_the_inputs_are_what_is_on_file(store, other, acts):
    """Each of two processes writes in any order: a reading that was kept is never another than a new one."""
    for mine, what in acts:
        ACTS[what](store if mine else other, next(NUMBERS))
        for one in (store, other):
            assert one.evaluation_inputs() == fresh(one)
