"""The files that version 0.1.0 left (tests/store/data) open, migrate and are read whole by today's code."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gpuwatch_tray.alerts import Silence, SilenceScope
from gpuwatch_tray.alerts.reminder_types import CommandEnds, GpusFree, ProcessEnds, Reminder
from gpuwatch_tray.history.sample_reader import UseDetail, read_samples
from gpuwatch_tray.model import Instant, MessageKind, Phase, Reason, ReminderNotice, Severity
from gpuwatch_tray.store import KnownGpu, Store, Transition
from tests.support.machine_history import NOON, UUID

DATA = Path(__file__).parent / "data"
NOW = Instant(NOON, 500.0, "boot-1")
UNSENT = (2, 3, 4, 5, 6)  # by number; the first mail was sent


@pytest.fixture
def old_folder(tmp_path):
    """Make a state folder as version 0.1.0 left it."""
    for name in ("state", "samples"):
        shutil.copyfile(DATA / f"{name}-0.1.0.sqlite3", tmp_path / f"{name}-box.sqlite3")
    return tmp_path


@pytest.fixture(params=[6, 5])
def migrated(request, old_folder, journal):
    """Open the state as it was written, and with a number that makes the migration run over its rows."""
    with closing(sqlite3.connect(old_folder / "state-box.sqlite3")) as database:
        database.execute(f"PRAGMA user_version = {request.param}")
    with closing(Store(old_folder, "box", lambda: (600.0, "boot-1"))) as opened:
        yield opened
        assert opened.trouble is None
        assert opened.renewed == 0
    assert not list(old_folder.glob("*.damaged*"))


def test_alerts_of_each_phase(migrated):
    """One pending, one firing, one acknowledged and recovering, one whose end is still to be mailed."""
    saved = migrated.saved_state()
    assert [(each.id, each.phase) for each in saved.alerts] == [
        (1, Phase.PENDING),
        (2, Phase.FIRING),
        (3, Phase.RECOVERING),
    ]
    pending, firing, acknowledged = saved.alerts
    assert (pending.rule, pending.phase_seconds, pending.samples) == ("max_etime", 30.0, 6)
    assert (firing.fired, firing.news) == (NOW, (Reason.SEVERITY_RISE, NOW))
    assert firing.thread == ("<1@box>", NOON)
    assert acknowledged.severity is Severity.CRITICAL
    assert acknowledged.covered
    assert acknowledged.text == "GPU 0: 93 °C"
    assert [(each.id, each.owed_to) for each in saved.ended] == [(4, ("email",))]
    assert {each.owed_to for each in saved.alerts} == {()}
    assert (saved.last, saved.last_in_loop, saved.highest) == (NOW, NOW, 5)
    assert len(saved.raised) == len(saved.severities) == 4


def test_acknowledgements_silences_and_deliveries(migrated):
    """What the person has said still holds, and so do the cooldowns."""
    attention = migrated.attention()
    assert attention.acknowledged == {3}
    assert set(attention.silences) == {
        Silence(SilenceScope.RULE, "fan", NOW, 3600.0),
        Silence(SilenceScope.ALERT, "box/temperature/GPU-0000", NOW, 7200.0),
    }
    assert migrated.delivered("desktop") == {"box/gpu_limit": NOW}
    assert migrated.delivered("email") == {"box/gpu_limit": Instant(NOON + 50, 600.0, "boot-1")}


def test_history_inventory_and_the_rest(migrated):
    """The incidents that are over, what happened to each, the GPUs, the processes, the greeting."""
    ended, transitions = migrated.history()
    assert [each.id for each in ended] == [5, 4]
    assert transitions == [
        Transition(NOON, 2, "fired", "first"),
        Transition(NOON + 30, 5, "resolved"),
        Transition(NOON + 40, 3, "acknowledged"),
        Transition(NOON + 41, 4, "snoozed"),
    ]
    assert migrated.gpus() == (
        KnownGpu("GPU-0000", 0, "NVIDIA RTX A6000", NOON),
        KnownGpu("GPU-0001", 1, "", NOON, forgotten=True),
    )
    assert migrated.sightings() == {(7, "digest"): NOON - 100}
    assert migrated.was_greeted()


def test_reminders(migrated):
    """Each kind of one, with what was seen so far; the command's has come about."""
    assert migrated.reminders() == (
        Reminder(1, NOW, GpusFree(2, 60.0, (("GPU-0000", NOW),), NOW)),
        Reminder(2, NOW, ProcessEnds(7, "start-7", "python ü.py", "boot-1", True, (0, 1), 12.5, 2**40, NOW)),
        Reminder(
            3,
            NOW,
            CommandEnds(8, "start-8", "make", "boot-1", 2**30, NOW),
            ReminderNotice(
                "make has ended", "exit code 2", NOON, ("took 3 min",), ("error",), Severity.WARNING
            ),
        ),
    )


def test_mails(migrated):
    """One waits, one was refused, one is retried, one is held, one waits for a recipient; one was sent."""
    waiting, refused, retried, held, rest = rows = migrated.unsent_mails()
    assert tuple(row.id for row in rows) == UNSENT
    assert [row.state for row in rows] == ["queued", "dead", "queued", "held", "queued"]
    assert {row.channel for row in rows} == {"email"}
    assert migrated.evaluation_inputs().holding == {"email"}
    assert waiting.message.text == "text ü\n"
    assert waiting.message.details.html == "<p>ü</p>"
    assert waiting.message.details.subjects == ("GPU-0000",)
    assert waiting.fingerprints == ("box/temperature/GPU-0000",)
    assert (refused.error, refused.failure, refused.attempts) == ("550 no such user", "refused", 1)
    assert refused.message.details.replies_to == ("<1@box>",)
    assert refused.message.details.reminder
    assert (retried.message.kind, retried.next_at) == (MessageKind.RESOLVED, NOON + 300)
    assert held.message.message_id == "<5@box>"
    assert (rest.message.details.only, rest.next_at) == (("bob@example.org",), NOON + 900)
    # The alert is snoozed, so its mail waits; the other two are due.
    leased = migrated.lease_due(NOON + 1000, 60.0)
    assert [row.message.message_id for row in leased] == ["<4@box>", "<6@box>"]
    migrated.mark_sent(4, NOON + 1001, "250 ok")
    assert [row.id for row in migrated.unsent_mails()] == [2, 3, 5, 6]


def test_samples(old_folder):
    """The samples of both GPUs, their users and their processes, without a gap."""
    past = read_samples(old_folder, "box", NOON, NOON + 1380, NOON + 1400, processes=UseDetail.EACH)
    assert [gpu.uuid for gpu in past.gpus] == [UUID, "GPU-0001"]
    assert sum(sample.covered for sample in past.samples[UUID]) == pytest.approx(1365)
    assert past.samples["GPU-0001"][3].temperature.mean == 80
    assert {run.user for run in past.runs} == {"ada", "bob"}
    assert {use.who for use in past.users} == {"ada", "bob"}
    assert len({use.who for use in past.processes}) == 2
