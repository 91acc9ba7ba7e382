"""Layer A, the condition: one table of scripts, and what no clock and no value may change."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.alerts import Tick, fingerprint, step
from gpuwatch_tray.alerts.state_machine import ChangeKind, clear_time, flapping
from gpuwatch_tray.common.proclist import own_text
from gpuwatch_tray.model import FLAPPING, Finding, Instant, Limits, Phase, Reason, Severity, Terms, Verdict
from gpuwatch_tray.rules import judge
from tests.support.fakes import START, alert, process, snapshot

HOST = "box"
RULE = "gpu_limit"
FOUND = Finding(RULE, "", Severity.WARNING, "GPU_COUNT(3) > GPU_LIMIT(2)", 3)
VERDICTS = {
    "+": Verdict(RULE, (FOUND,)),
    "!": Verdict(RULE, (replace(FOUND, severity=Severity.CRITICAL),)),
    "-": Verdict(RULE),
    "~": Verdict(RULE, band=frozenset({""})),
    "?": Verdict(RULE, unknown="GPU 1 is lost"),
    ".": None,  # the rule gave no verdict
}
LETTERS = {Phase.PENDING: "P", Phase.FIRING: "F", Phase.RECOVERING: "R"}
MINUTE = Terms(hold=60)
TWICE = Terms(hold_samples=2)
SLOW = Terms(clear=120)
WORSE = Terms(critical_after=600)
NOW = Tick(Instant(START))


def play(script, terms, raised=0, walls=()):
    """
    A script is a word a look: the seconds since the one before, what is found, and `g` after a gap.

    Returns the phase after each, the kinds of all changes, and the alert that is left.
    """
    active, phases, kinds = {}, [], []
    walls = iter(walls)
    for word in script.split():
        look = word.rstrip("g")
        tick = Tick(Instant(next(walls, START)), float(look[:-1]), gap=word.endswith("g"))
        verdict = VERDICTS[look[-1]]
        active, changes = step(
            active,
            [] if verdict is None else [verdict],
            tick,
            HOST,
            {RULE: terms},
            {fingerprint(HOST, RULE, ""): raised},
        )
        phases.append("".join(LETTERS[each.phase] for each in active.values()) or "I")
        kinds += [change.kind.value for change in changes]
    return " ".join(phases), ", ".join(kinds), next(iter(active.values()), None)


TABLE = [
    ("nothing found, nothing said", Terms(), "0-", "I", ""),
    ("one look is enough", Terms(), "0+", "F", "fired"),
    ("it goes on: the same incident", Terms(), "0+ 60+", "F F", "fired"),
    ("it ends", Terms(), "0+ 60-", "F I", "fired, resolved"),
    ("it comes again: another incident", Terms(), "0+ 5- 5+", "F I F", "fired, resolved, fired"),
    ("unknown never fires", Terms(), "0? 60?", "I I", ""),
    ("unknown never resolves", Terms(), "0+ 60? 9999?", "F F F", "fired"),
    ("after unknown it goes on as it was", Terms(), "0+ 60? 60+", "F F F", "fired"),
    ("after unknown it may end", Terms(), "0+ 60? 60-", "F F I", "fired, resolved"),
    ("a rule without a verdict resolves nothing", Terms(), "0+ 60.", "F F", "fired"),
    ("a gap ends no alert that still fires", Terms(), "0+ 9999+g", "F F", "fired"),
    # PENDING
    ("it must hold for as long as the rule says", MINUTE, "0+ 59+ 1+", "P P F", "pending, fired"),
    ("pending and gone: nobody hears of it", MINUTE, "0+ 30+ 29-", "P P I", "pending, dropped"),
    ("the band does not raise", MINUTE, "0~ 60~", "I I", ""),
    ("the band does not keep what is pending", MINUTE, "0+ 30~", "P I", "pending, dropped"),
    ("dropped, it begins from the start", MINUTE, "0+ 59- 1+ 59+", "P I P P", "pending, dropped, pending"),
    ("two polls in a row", TWICE, "0+ 1+", "P F", "pending, fired"),
    ("one poll of two", TWICE, "0+ 1-", "P I", "pending, dropped"),
    ("time and polls must both be met", Terms(60, 3), "0+ 99+ 1+", "P P F", "pending, fired"),
    ("unknown freezes what is pending", MINUTE, "0+ 30? 30+ 29+ 1+", "P P P P F", "pending, fired"),
    ("no verdict freezes it too", MINUTE, "0+ 30. 30+ 30+", "P P P F", "pending, fired"),
    ("unknown is no poll in a row", TWICE, "0+ 1? 1? 1+", "P P P F", "pending, fired"),
    ("a gap restarts it", MINUTE, "0+ 50+ 900+g 59+ 1+", "P P P P F", "pending, fired"),
    ("a gap restarts the count of polls", TWICE, "0+ 900+g 1+", "P P F", "pending, fired"),
    (
        "a gap that ends in the dark restarts it",
        MINUTE,
        "0+ 50+ 900?g 9+ 59+ 1+",
        "P P P P P F",
        "pending, fired",
    ),
    ("and so the polls", TWICE, "0+ 900?g 1+ 1+", "P P P F", "pending, fired"),
    # RECOVERING
    ("it must be over for a while", SLOW, "0+ 60- 60- 59- 1-", "F R R R I", "fired, recovering, resolved"),
    ("over in two polls", Terms(clear_samples=2), "0+ 5- 5-", "F R I", "fired, recovering, resolved"),
    ("back in time: the same incident", SLOW, "0+ 60- 60+", "F R F", "fired, recovering, firing again"),
    ("in the band it stays as it is", SLOW, "0+ 60~ 60~", "F F F", "fired"),
    (
        "the band resets the clear timer",
        SLOW,
        "0+ 60- 119~ 1- 119- 1-",
        "F R F R R I",
        "fired, recovering, firing again, recovering, resolved",
    ),
    ("unknown freezes it", SLOW, "0+ 60- 999? 60- 60-", "F R R R I", "fired, recovering, resolved"),
    ("a gap restarts it", SLOW, "0+ 60- 60- 900-g 119- 1-", "F R R R R I", "fired, recovering, resolved"),
    (
        "a gap that ends in the dark restarts it",
        SLOW,
        "0+ 60- 60- 900?g 1- 119- 1-",
        "F R R R R R I",
        "fired, recovering, resolved",
    ),
    # severity
    ("a rise", Terms(), "0+ 5! 5!", "F F F", "fired, severity rose"),
    ("a fall", Terms(), "0! 5+", "F F", "fired, severity fell"),
    ("worse before it fires is no rise", MINUTE, "0+ 30! 30!", "P P F", "pending, fired"),
    ("worse at the moment it fires neither", MINUTE, "0+ 60!", "P F", "pending, fired"),
    ("it comes back worse", SLOW, "0+ 60- 60!", "F R F", "fired, recovering, firing again, severity rose"),
    ("critical in the end", WORSE, "0+ 599+ 1+ 5+", "F F F F", "fired, severity rose"),
    ("time in the dark does not count", WORSE, "0+ 599? 599+ 1+", "F F F F", "fired, severity rose"),
    ("a gap does not count", WORSE, "0+ 599+ 9999+g 1+", "F F F F", "fired, severity rose"),
    (
        "what became critical comes back as bad",
        replace(WORSE, clear=60),
        "0+ 600+ 5- 5+",
        "F F R F",
        "fired, severity rose, recovering, firing again",
    ),
]


@pytest.mark.parametrize(
    ("terms", "script", "phases", "kinds"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_condition(terms, script, phases, kinds):
    """The phase after each look, and what is said to have changed, follow the state machine."""
    assert play(script, terms)[:2] == (phases, kinds)


@given(walls=st.lists(st.floats(0, 4e9), min_size=6, max_size=6))
def test_a_clock_that_is_set_changes_nothing(walls):
    """Whatever the wall clock is set to between the looks, the phases are the same: time is `elapsed`."""
    script, terms = "0+ 30+ 30+ 5- 60- 60-", Terms(hold=60, clear=120)
    assert play(script, terms, walls=walls)[:2] == ("P P F R R I", "pending, fired, recovering, resolved")


@given(script=st.lists(st.tuples(st.integers(0, 200), st.sampled_from("+!-~?.")), max_size=20))
def test_unknown_only_stops_the_clock(script):
    """Dark looks strewn into any script change neither the phases nor what is said."""
    terms = Terms(hold=60, hold_samples=2, clear=60, clear_samples=2, critical_after=300)
    bright = [(seconds, what) for seconds, what in script if what not in "?."]

    def words(looks):
        return " ".join(f"{seconds}{what}" for seconds, what in looks)

    _, said, left = play(words(script), terms)
    assert (said, left) == play(words(bright), terms)[1:]


def test_an_alert_keeps_its_beginning_and_takes_the_new_reason():
    """While it fires, an alert's reason follows the finding and its `since` stays."""
    active, _ = step({}, [VERDICTS["+"]], NOW, HOST)
    more = replace(FOUND, reason="GPU_COUNT(4) > GPU_LIMIT(2)", value=4)
    later = Tick(Instant(START + 60), 60.0)
    active, changes = step(active, [Verdict(RULE, (more,))], later, HOST)
    (now,) = active.values()
    assert (now.since, now.reason, now.phase_seconds, changes) == (START, more.reason, 60.0, ())


def test_only_the_subjects_in_doubt_stay():
    """A verdict that is open about one process resolves the alert of another that is gone."""
    found = tuple(Finding("max_etime", f"b/{pid}/s", Severity.WARNING, "r") for pid in (1, 2))
    active, _ = step({}, [Verdict("max_etime", found)], NOW, HOST)
    verdict = Verdict("max_etime", unknown="age of 1", unknown_subjects=("b/1/",))
    active, changes = step(active, [verdict], NOW, HOST)
    assert [each.subject for each in active.values()] == ["b/1/s"]
    assert [(c.kind, c.alert.subject) for c in changes] == [(ChangeKind.RESOLVED, "b/2/s")]


@pytest.mark.parametrize(
    ("clear", "raises", "seconds"),
    [
        # not yet flapping: the rule's own time
        (0.0, 3, 0.0),
        (180.0, 3, 180.0),
        # from the fourth raise on it doubles, from a minute where the rule has none
        (0.0, 4, 120.0),
        (0.0, 5, 240.0),
        (180.0, 4, 360.0),
        # and never beyond an hour
        (0.0, 9, 3600.0),
        (180.0, 1_000_000, 3600.0),
    ],
)
def test_flapping_doubles_the_clear_time(clear, raises, seconds):
    """Each raise of a flapping alert doubles the time that it must stay away, up to an hour."""
    assert clear_time(Terms(clear=clear), raises) == seconds


def test_the_fourth_raise_within_the_hour_is_news_once():
    """Three raises say nothing of flapping, the fourth does, the fifth not again."""
    left = [play("0+", Terms(), raised)[2] for raised in (FLAPPING - 2, FLAPPING - 1, FLAPPING)]
    assert [each.raises for each in left] == [3, 4, 5]
    assert [flapping(each) for each in left] == [False, True, True]
    assert [each.news and each.news[0] for each in left] == [None, Reason.FLAPPING, None]


def test_a_flapping_alert_must_stay_away_to_be_resolved():
    """With the fourth raise, a rule that clears at once clears after two minutes."""
    assert play("0+ 5- 119- 1-", Terms(), raised=3)[0] == "F R R I"
    assert play("0+ 5-", Terms(), raised=2)[0] == "F I"


def test_a_rise_is_news_and_a_fall_is_none():
    """Only the rise carries a reason that may pass the cooldown."""
    assert play("0+ 5!", Terms())[2].news == (Reason.SEVERITY_RISE, Instant(START))
    fallen = play("0! 5+", Terms())[2]
    assert (fallen.news, fallen.severity) == (None, Severity.WARNING)


def bash_signature(reasons, output):
    """The Bash tool's identity of an alert: a hash of the reasons and the whole list."""
    return hashlib.sha256(f"{' '.join(reasons)}\n---\n{output}\n".encode()).hexdigest()


def test_the_fingerprint_survives_what_changed_the_bash_tools_hash():
    """Five minutes later the Bash tool's hash differs, so it mailed again; our fingerprint does not."""
    limits = Limits(gpu_limit=0, max_etime=3600)

    def identities(elapsed):
        row = process(elapsed=elapsed)
        active, _ = step({}, judge(snapshot(row), limits), NOW, HOST)
        reasons = [each.reason for each in active.values()]
        return set(active), bash_signature(reasons, own_text((row,), redacted=False))

    ours, theirs = identities(7200.0)
    ours_later, theirs_later = identities(7500.0)
    assert len(ours) == 2
    assert ours == ours_later
    assert theirs != theirs_later  # what a cooldown by that hash would fail on


def test_a_reused_pid_is_another_alert():
    """The same PID with another start is another fingerprint."""
    limits = Limits(max_etime=1)
    names = [
        set(step({}, judge(snapshot(process(7, identity=start)), limits), NOW, HOST)[0])
        for start in ("a", "b")
    ]
    assert names[0].isdisjoint(names[1])


def test_hosts_do_not_share_fingerprints():
    """The same rule on another host is another alert."""
    assert fingerprint("a", "gpu_limit", "") != fingerprint("b", "gpu_limit", "")
    assert fingerprint("box", "gpu_lost", "GPU-1") == alert("gpu_lost", "GPU-1").fingerprint
