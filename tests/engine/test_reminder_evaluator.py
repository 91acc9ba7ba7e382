"""What the person asked to be told is told once: by popup, by mail, or by both, and after every mishap."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.alerts import Silence, SilenceScope
from gpuwatch_tray.engine import Engine, HostRules
from gpuwatch_tray.engine.operations import NotOnGpuError, ReminderError, Reminders
from gpuwatch_tray.model import EmailWhen, Gpu, MessageKind, Presence, Severity
from gpuwatch_tray.store import Store, StoreError
from tests.engine.bench import BUSY, CALM, DARK, HEAD, Bench
from tests.support.fakes import MIB, Clock, process, snapshot


class Teller(Bench):
    """A bench whose desktop shows notices too, and whose system knows which processes live."""

    def open(self) -> None:
        self.store = Store(self.folder, "box", self.clock.uptime)
        self.awaiting = Reminders(self.store, self.clock.instant)
        self.dead = getattr(self, "dead", set())
        self.popups = getattr(self, "popups", [])
        self.children = getattr(self, "children", set())
        self.asked = []
        self.evaluator = self.engine()

    def engine(self):
        return Engine(
            HostRules(),
            self.store,
            self.policy,
            HEAD,
            self.clock.instant,
            self._sighting,
            self._lives,
            self._descends,
            self._kernel_lines,
        )

    def _kernel_lines(self, pid, _within):
        return getattr(self, "kernel", {}).get(pid, ())

    def _lives(self, pid, _identity):
        return pid not in self.dead

    def _descends(self, pid, ancestor):
        self.asked.append(pid)
        return (pid, ancestor) in self.children

    def look(self, reading, seconds=5.0):
        self.clock.advance(seconds)
        outcome = self.evaluator.evaluate(reading)
        for popup, numbers in outcome.reminder_popups:
            if self.screen:
                self.popups.append(popup)
            if numbers:
                self.evaluator.record_reminder_popup(numbers, shown=self.screen)
        return outcome

    def notices(self):
        """The mails that tell what was asked for."""
        return [mail for mail in self.deliver() if mail.kind is MessageKind.NOTICE]

    def free(self):
        """Wait for one GPU more than is free in CALM, and see it free for long enough."""
        self.awaiting.add_gpus_free(2, snapshot())
        for _ in range(13):
            self.look(CALM)


LOCAL = replace(CALM, source="nvml", boot_id=Clock().uptime()[1])
TAKEN = replace(BUSY, boot_id=LOCAL.boot_id)


@pytest.fixture
def teller(folder):
    made = Teller(folder)
    yield made
    made.close()


def test_the_popup_tells_who_is_there(teller):
    """Somebody at the desk gets one popup, no mail, and nothing more."""
    teller.free()
    for _ in range(3):
        teller.look(CALM)
    (popup,) = teller.popups
    assert popup.title == "2 GPUs free"
    assert popup.body.startswith("GPU 1 (Test GPU 1), GPU 2 (Test GPU 2), GPU 3")
    assert (popup.severity, popup.buttons) == (Severity.INFO, ())
    assert teller.notices() == []
    assert teller.store.reminders() == ()


@pytest.mark.parametrize(
    ("email", "presence", "popups", "mailed", "shown"),
    [
        # nobody is known to be there: both
        (EmailWhen.AWAY, Presence.AWAY, True, 1, 1),
        (EmailWhen.AWAY, Presence.UNKNOWN, True, 1, 1),
        (EmailWhen.AWAY, Presence.PRESENT, True, 0, 1),
        (EmailWhen.ALWAYS, Presence.PRESENT, True, 1, 1),
        (EmailWhen.NEVER, Presence.AWAY, True, 0, 1),
        # no desktop
        (EmailWhen.AWAY, Presence.AWAY, False, 1, 0),
        (EmailWhen.NEVER, Presence.AWAY, False, 0, 0),
    ],
)
def test_the_ways_are_those_of_the_alerts(teller, email, presence, popups, mailed, shown):
    """EMAIL_WHEN and the person's presence decide on the mail; a popup comes wherever there is a desktop."""
    teller.restart(email_when=email, popups=popups)
    teller.presence = presence
    teller.free()
    teller.look(CALM)
    assert (len(teller.notices()), len(teller.popups)) == (mailed, shown)
    assert (teller.store.reminders() == ()) is bool(mailed or shown)


def test_the_mail_says_it_in_the_house_style(teller):
    """Subject, head, the sentence as an item."""
    teller.presence = Presence.AWAY
    teller.dead.add(1)
    teller.awaiting.add_process_ends(1, LOCAL)
    teller.look(replace(LOCAL, processes=()))
    (mail,) = teller.notices()
    assert mail.subject.startswith("[GPU Watchdog] Process ended: ada@box  2026-")
    assert "Host: box\nUser: ada\n\nConfig: /etc/gpu-watch.env\nTold as you asked:\n- PID 1 (" in mail.text
    assert "(python train.py, GPU 0) has ended after 1 min\n" in mail.text


def test_a_commands_peak_is_that_of_its_children_too(teller):
    """Each process on the GPUs is asked about once, a child stays one, and what is not mine is no child."""
    number = teller.awaiting.add_command(50, "start-50", LOCAL.boot_id, "torchrun a.py")
    teller.children = {(1, 50)}
    mine = replace(LOCAL.processes[0], memory=300 * MIB)
    other = replace(mine, pid=3, mine=False)
    reading = replace(LOCAL, processes=(mine, replace(mine, pid=2), other))
    teller.look(reading)
    teller.children = set()  # what lay between has ended
    teller.look(replace(reading, processes=(replace(mine, memory=400 * MIB),)))
    assert sorted(teller.asked) == [1, 2]
    teller.awaiting.report_command(number, 1, 60.0, ())
    teller.look(reading)
    (popup,) = teller.popups
    assert (popup.title, popup.severity) == ("Command failed", Severity.WARNING)
    assert popup.body.endswith("peak GPU memory: 400 MiB\non box")


def test_a_popup_that_cannot_be_shown_falls_to_mail(teller):
    """Where no popup can be shown, the next look queues the mail, and shows no popup beside it."""
    teller.screen = False
    teller.free()
    teller.look(CALM)
    teller.screen = True
    teller.look(CALM)
    assert (len(teller.notices()), teller.popups) == (1, [])


def test_without_any_way_it_waits_for_one(teller):
    """EMAIL_WHEN=never and no popup: it stays due, is shown as that, and is told when a popup can be."""
    teller.restart(email_when=EmailWhen.NEVER)
    teller.screen = False
    teller.free()
    (waiting,) = teller.look(CALM).status.awaited
    assert waiting.due
    teller.restart()
    teller.screen = True
    assert teller.look(DARK).status.awaited == ()
    assert len(teller.popups) == 1
    teller.look(DARK)
    assert len(teller.popups) == 1


def test_a_snooze_holds_it_back_until_it_ends(teller):
    """A snooze of everything silences every channel, and loses nothing."""
    teller.presence = Presence.AWAY
    teller.store.add_silence(Silence(SilenceScope.ALL, "", teller.clock.instant(), 3600.0))
    teller.free()
    assert (teller.notices(), teller.popups) == ([], [])
    teller.look(TAKEN, 3600)
    assert (len(teller.notices()), len(teller.popups)) == (1, 1)


def test_a_crash_before_the_popup_tells_after_it(teller):
    """What had come about and was not yet shown when the program died is shown by the next one."""
    teller.awaiting.add_gpus_free(2, snapshot())
    for _ in range(14):
        teller.clock.advance(5)
        if teller.evaluator.evaluate(CALM).reminder_popups:  # the popup is handed over, and the program dies
            break
    teller.restart()
    teller.look(DARK)
    assert len(teller.popups) == 1
    teller.restart()
    teller.look(DARK)
    assert len(teller.popups) == 1


def test_a_popup_under_way_is_not_shown_twice(teller):
    """Two threads evaluate: while the desktop has not answered the first, the second shows nothing."""
    teller.free()
    teller.awaiting.add_process_ends(1, LOCAL)
    teller.dead.add(1)
    teller.clock.advance(5)
    gone = replace(LOCAL, processes=())
    first, second = teller.evaluator.evaluate(gone), teller.evaluator.evaluate(DARK)
    assert (len(first.reminder_popups), len(second.reminder_popups)) == (1, 0)


def test_a_shown_popup_that_cannot_be_recorded_is_not_shown_again(teller, monkeypatch):
    """A disk that fails just then doubles nothing; the watch is closed when it can be."""
    with monkeypatch.context() as patch:

        def fail(*_):
            raise StoreError("full")

        patch.setattr(teller.store, "close_reminders", fail)
        teller.free()
        teller.look(CALM)
    assert len(teller.popups) == 1
    teller.look(CALM)
    assert (len(teller.popups), teller.store.reminders(), teller.notices()) == (1, (), [])


def test_the_popup_comes_while_the_state_is_in_memory_only(folder):
    """What memory holds is as good as on file: it is told now, not after a restart that forgets it."""
    wall = folder / "wall"
    wall.write_text("")

    class OnAFullDisk(Teller):
        def open(self):
            super().open()
            self.store.close()
            self.store = Store(wall, "box", self.clock.uptime, keeper=True)
            self.awaiting = Reminders(self.store, self.clock.instant)
            self.evaluator = self.engine()

    with closing(OnAFullDisk(folder)) as teller:
        assert teller.store.trouble is not None
        teller.free()
        for _ in range(3):
            teller.look(CALM)
        assert [popup.title for popup in teller.popups] == ["2 GPUs free"]
        assert teller.store.reminders() == ()


def test_what_the_kernel_did_is_told_with_the_end(teller):
    """Its line about that very process is certain; that it killed some process then is only probable."""
    teller.presence = Presence.AWAY
    line = "Memory cgroup out of memory: Killed process 1 (python) total-vm:89984kB"
    for kernel, said in (({1: (line,)}, "- the machine ran"), ({}, "- probably: the machine ran")):
        teller.kernel = kernel
        teller.awaiting.add_process_ends(1, LOCAL)
        teller.look(replace(LOCAL, oom_kills=5))
        teller.dead.add(1)
        teller.look(replace(LOCAL, processes=(), oom_kills=6))
        (mail,) = teller.notices()
        assert f"{said} out of memory, and the kernel killed it\n" in mail.text
        assert (line in mail.text) is bool(kernel)
        teller.dead.clear()


def test_over_the_cap_it_comes_with_the_digest(teller):
    """Mails beyond twenty an hour are held, those that were asked for too, and then told in one."""
    teller.presence = Presence.AWAY
    gone = replace(LOCAL, processes=())
    for pid in range(1, 26):
        teller.awaiting.add_process_ends(pid, replace(LOCAL, processes=(process(pid, 0),)))
        teller.dead.add(pid)
        teller.look(gone)
    assert len(teller.notices()) == 20
    teller.look(gone, 3700)
    (digest,) = teller.deliver()
    assert digest.kind is MessageKind.DIGEST
    assert [f"PID {pid} (" in digest.text for pid in range(21, 26)] == [True] * 5
    assert teller.store.reminders() == ()


def test_what_is_waited_for_is_in_the_status(teller):
    """Each look says what is waited for, with the number that cancels it."""
    teller.awaiting.add_gpus_free(2, snapshot())
    teller.awaiting.add_process_ends(1, LOCAL)
    shown = teller.look(TAKEN).status.awaited
    assert [(each.id, each.target) for each in shown] == [(1, "2"), (2, "1:start-1")]
    teller.awaiting.cancel(1)
    assert [each.id for each in teller.look(TAKEN).status.awaited] == [2]


def test_the_disk_is_not_written_for_what_only_waits(teller, monkeypatch):
    """A watch that waits is written once a minute at most, and never in a poll where nothing moves."""
    teller.awaiting.add_gpus_free(4, snapshot())
    teller.awaiting.add_process_ends(1, LOCAL)
    teller.look(CALM)
    steps = []
    commit = teller.store.commit
    monkeypatch.setattr(teller.store, "commit", lambda step: (steps.append(step), commit(step)))
    for _ in range(120):
        teller.look(LOCAL)
    held = 12  # polls within the hold of the GPUs that are free
    assert len(steps) <= held + 11


def begin_run(teller, called="base"):
    return teller.awaiting.add_command(50, "start-50", LOCAL.boot_id, called)


def end_run(teller, called="base", code=0):
    """Have a command begin and end, and `when run` report it."""
    teller.awaiting.report_command(begin_run(teller, called), code, 60.0, ())


def runs_told(teller):
    """The first line of each popup."""
    return [popup.body.partition("\n")[0] for popup in teller.popups]


def test_runs_of_one_name_are_one_notice(teller):
    """The first is told at once, those that follow within five minutes together; no other name waits."""
    ranks = [begin_run(teller) for _ in range(4)]
    for number, seconds, code in zip(ranks, (1, 2, 3, 60), (0, 0, 1, 3), strict=True):
        teller.clock.advance(seconds)
        teller.awaiting.report_command(number, code, 60.0, ())
        teller.look(LOCAL, 1)
    end_run(teller, "other")
    teller.look(LOCAL, 1)
    assert runs_told(teller) == ["base: done after 1 min", "other: done after 1 min"]
    held = teller.look(LOCAL, 1).status.awaited
    assert [(each.id, each.due) for each in held] == [(2, True), (3, True), (4, True)]
    teller.look(LOCAL, 300)
    assert runs_told(teller)[2:] == ["base: 3 more runs ended, 2 failed"]
    assert (teller.popups[-1].title, teller.store.reminders()) == ("2 commands failed", ())


def test_what_somebody_starts_anew_is_told_at_once(teller):
    """Who read of a failure and tries again is not kept waiting for minutes."""
    end_run(teller, code=1)
    teller.look(LOCAL)
    teller.clock.advance(30)
    end_run(teller, code=1)
    teller.look(LOCAL)
    assert runs_told(teller) == ["base: exit code 1 after 1 min"] * 2


def test_several_that_end_between_two_looks_are_one_mail(teller):
    """One mail, also without a tray: whoever ended last mails for all."""
    teller.presence = Presence.AWAY
    for _ in range(3):
        end_run(teller)
    assert teller.evaluator.mail_due_reminders() == 1
    (mail,) = teller.notices()
    assert "base: 3 runs are done" in mail.text
    assert teller.store.reminders() == ()


def test_a_popup_about_several_that_cannot_be_shown_falls_to_mail(teller):
    """They are mailed at the next look, not held for minutes once more."""
    teller.screen = False
    end_run(teller)
    end_run(teller)
    teller.look(LOCAL)
    teller.look(LOCAL)
    (mail,) = teller.notices()
    assert "base: 2 runs are done" in mail.text
    assert teller.store.reminders() == ()


OUTCOMES = st.lists(
    st.tuples(
        st.sampled_from(["calm", "busy", "dark", "gone"]),
        st.booleans(),  # a restart before this look
        st.booleans(),  # popups can be shown
        st.sampled_from([Presence.PRESENT, Presence.AWAY]),
    ),
    min_size=3,
    max_size=24,
)
READINGS = {
    "calm": LOCAL,
    "busy": replace(BUSY, boot_id=LOCAL.boot_id),
    "dark": DARK,
    "gone": replace(LOCAL, processes=()),
}
COUNT = itertools.count()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(looks=OUTCOMES)
def test_whatever_happens_each_is_told_once(folder, looks):
    """Restarts, refused popups and comings and goings: nothing is told twice, and what came about is told."""
    with closing(Teller(folder / str(next(COUNT)))) as teller:
        teller.awaiting.add_process_ends(1, LOCAL)
        teller.awaiting.add_gpus_free(4, snapshot(), 10.0)
        mails = []
        for name, restart, teller.screen, teller.presence in looks:
            if restart:
                teller.restart()
            if name == "gone":
                teller.dead.add(1)
            teller.look(READINGS[name])
            mails += teller.notices()
        teller.screen, teller.presence = True, Presence.PRESENT
        for _ in range(2):
            teller.look(READINGS["gone"] if 1 in teller.dead else DARK)
            mails += teller.notices()
        told = {each.key for each in teller.popups}
        assert len(told) == len(teller.popups)  # no popup twice
        subjects = [mail.text.partition("Told as you asked:\n")[2].splitlines()[0] for mail in mails]
        assert len(set(subjects)) == len(subjects)  # no mail twice
        ended = [line for line in [*subjects, *(each.body for each in teller.popups)] if "has ended" in line]
        assert bool(ended) is (1 in teller.dead)


ENDS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, 8.0, 40.0, 320.0, 700.0]),  # seconds before it
        st.lists(st.tuples(st.sampled_from(["base", "other"]), st.sampled_from([0, 1])), max_size=3),
        st.booleans(),  # a restart before this look
        st.booleans(),  # popups can be shown
        st.sampled_from([Presence.PRESENT, Presence.AWAY]),
    ),
    max_size=16,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(looks=ENDS)
def test_each_end_of_a_group_is_told_once(folder, looks):
    """Held, refused by the desktop or outlived by a restart: none is lost, and none told twice."""
    with closing(Teller(folder / str(next(COUNT)))) as teller:
        told, ends = Counter(), Counter()

        def look(seconds):
            outcome = teller.look(LOCAL, seconds)
            alone = [popup.body for popup, numbers in outcome.reminder_popups if numbers and teller.screen]
            told.update(counted(text) for text in [*alone, *(mail.text for mail in outcome.mails)])

        def counted(text):
            line = next(line for line in text.splitlines() if re.search("(base|other): ", line))
            name, said = line.removeprefix("- ").split(": ")
            return name, int(found[1]) if (found := re.match(r"(\d+) (?:more )?runs? ", said)) else 1

        for seconds, ended, restart, teller.screen, teller.presence in looks:
            if restart:
                teller.restart()
            for name, code in ended:
                end_run(teller, name, code)
                ends[name] += 1
            look(seconds)
        teller.screen = True
        for _ in range(3):
            look(400)
        sums = Counter()
        for (name, count), times in told.items():
            sums[name] += count * times
        assert (sums, teller.store.reminders()) == (ends, ())


@pytest.mark.parametrize(
    ("reading", "pid", "said"),
    [
        (LOCAL, 77, "process 77 is not on a GPU here (on the GPUs: 1)"),
        (replace(LOCAL, processes=()), 77, "process 77 is not on a GPU here (no processes on the GPUs)"),
        (
            snapshot(gpus=(Gpu(0, "GPU-0", problem="lost"),)),
            77,
            "process 77 is not on a GPU here (no processes on the GPUs; GPU 0 cannot be read)",
        ),
        (DARK, 1, "the GPUs cannot be read: driver not loaded"),
        (None, 1, "the GPUs have not been read yet"),
    ],
)
def test_only_what_is_on_a_gpu_can_be_waited_for(teller, reading, pid, said):
    """A PID that no list has is refused with what there is."""
    with pytest.raises(NotOnGpuError) as caught:
        teller.awaiting.add_process_ends(pid, reading)
    assert str(caught.value) == said
    with pytest.raises(NotOnGpuError):
        teller.awaiting.add_process_ends(1, LOCAL, "of another identity")


def test_what_can_never_be_is_refused(teller):
    """More GPUs than there are, or idle ones where only processes are listed."""
    with pytest.raises(ReminderError, match="there are only 4 GPUs here"):
        teller.awaiting.add_gpus_free(5, snapshot())
    with pytest.raises(ReminderError, match="idle GPUs cannot be seen here"):
        teller.awaiting.add_gpus_free(1, snapshot(gpus=(Gpu(0, ""),)))
    with pytest.raises(ReminderError, match=r"there is no reminder 9 \(pending: none\)"):
        teller.awaiting.cancel(9)


def test_asking_twice_waits_once(teller):
    """The same wish is one wish, and says its number."""
    assert teller.awaiting.add_gpus_free(2, CALM).startswith("1: you will be notified when 2 GPUs are free")
    again = "1: you will already be notified when 2 GPUs are free for 1 min"
    assert teller.awaiting.add_gpus_free(2, CALM) == again
    teller.awaiting.add_process_ends(1, LOCAL)
    assert teller.awaiting.add_process_ends(1, LOCAL).startswith(
        "2: you will already be notified when PID 1 (python train.py)"
    )
    assert teller.awaiting.cancel(1) == "cancelled: 1: 2 GPUs are free for 1 min"
    assert teller.awaiting.lines() == ["    2  PID 1 (python train.py) ends"]
