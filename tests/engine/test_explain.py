"""`alerts explain`: each rule, what it measured, and what will be told when and why."""

from __future__ import annotations

import pytest

from gpuwatch_tray.engine.explain import MEANING, describe_entry
from gpuwatch_tray.model import EmailWhen, Limits, Reason
from gpuwatch_tray.rules import RULES, is_on, threshold
from tests.engine.bench import BUSY, CALM, DARK, Bench

WORDS = (
    "You are at the desk (according to: test).",
    (
        "A mail is sent when no one is at the desk, when 10 min pass without an answer to the popup"
        " (ESCALATE_MIN), and at once when it is critical; the same alert again after 1 h (COOLDOWN_MIN)."
    ),
    "",
    "monitor_blind: the GPUs can be read",
    (
        "  It fires when the GPUs or their processes cannot be read, for 1 min. It becomes critical 10"
        " min later. Set by BLIND_SEC."
    ),
    "",
    "gpu_lost: 4 of 4 GPUs answer",
    (
        "  It fires when a GPU does not answer, or is missing, in 2 checks in a row. It clears 2"
        " min after that ends. Set by GPU_LOST."
    ),
    "",
    "gpu_limit: 1 GPU in use",
    "  It fires when more than 1 GPU is in use. Set by GPU_LIMIT.",
    "",
    "max_etime: the longest runs for 1 min",
    "  It fires when a process has run for longer than 1 h. Set by MAX_ETIME_MIN.",
)


def test_it_names_every_rule_its_value_and_its_threshold(bench):
    """A calm reading is explained rule by rule in sentences, the person and the mail first."""
    assert bench.evaluator.explain(CALM) == WORDS


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        ({"mails": False}, "No mail is sent: TO_EMAIL is not set, or the GPUs are simulated."),
        ({"email_when": EmailWhen.NEVER}, "No mail is sent (EMAIL_WHEN=never)."),
        ({"email_when": EmailWhen.ALWAYS}, "A mail is sent at once (EMAIL_WHEN=always); "),
        ({"popups": False}, "A mail is sent at once, as there is no desktop here; "),
    ],
)
def test_it_says_when_a_mail_goes(folder, policy, line):
    """In a sentence, whatever the settings are."""
    bench = Bench(folder, **policy)
    assert bench.evaluator.explain(CALM)[1].startswith(line)
    bench.close()


def test_it_says_what_will_be_sent_when_and_why(bench):
    """An alert at the desk: the popup was shown, the mail waits its time."""
    bench.look(BUSY)
    bench.clock.advance(60)
    lines = bench.evaluator.explain(BUSY)
    at = lines.index("  Alert 1, warning, firing for 1 min: 2 GPUs in use; the limit is 1")
    assert lines[at + 1 : at + 3] == (
        "    email: not now: the popup comes first; in 9 min if it still fires",
        ("    popup: not now: the cooldown is not over; in 59 min if it still fires"),
    )


def test_every_reason_has_words():
    """Of each named reason for and against a notice a person can read what it means."""
    assert set(MEANING) == set(Reason) - {Reason.NO_CHANNEL}


def test_it_changes_nothing(bench):
    """Asked ten times about something new, nothing is written, told or counted."""
    before = bench.store.saved_state()
    for _ in range(10):
        assert any("the popup comes first" in line for line in bench.evaluator.explain(BUSY))
    assert bench.store.saved_state() == before
    assert bench.history == []
    assert [change.kind.value for change in bench.look(BUSY).changes] == ["fired"]


def test_it_says_what_cannot_be_judged(folder):
    """Missing data is named as such, and once the rules whose hold cron cannot span, with their terms."""
    bench = Bench(folder, in_loop=False, popups=False)
    lines = bench.evaluator.explain(DARK)
    assert "gpu_limit: cannot be checked now: driver not loaded" in lines
    (at,) = (number for number, line in enumerate(lines) if "need several readings" in line)
    assert lines[at + 1 : at + 4] == ("", "monitor_blind", WORDS[4])
    bench.close()


@pytest.mark.parametrize(
    ("what", "why", "shown"),
    [
        ("email queued", "first, away", ("mail queued", "it is new and no one is at the desk")),
        (
            "email waits",
            "no-channel",
            ("not mailed", "no mail is sent: TO_EMAIL is not set, or the GPUs are simulated"),
        ),
        ("popup waits", "acknowledged", ("no popup", MEANING[Reason.ACKNOWLEDGED])),
        ("email waits", "of-a-later-version", ("not mailed", "of-a-later-version")),
        ("severity_rose", "GPU 0 is at 93 °C", ("severity rose", "GPU 0 is at 93 °C")),
    ],
)
def test_an_entry_of_the_log_is_told_in_words(what, why, shown):
    """A decision reads as what happened and why; a text of the alert itself stays as it is."""
    assert describe_entry(what, why) == shown


def test_every_rule_that_is_on_has_a_condition():
    """Each rule can say when it fires before anything was read; one that is off is not asked."""
    limits = Limits()
    for name in RULES:
        assert bool(threshold(name, limits)) is is_on(name, limits)
