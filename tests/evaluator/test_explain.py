"""`alerts explain`: each rule, what it measured, and what will be told when and why."""

from __future__ import annotations

from tests.evaluator.bench import BUSY, CALM, DARK, Bench

BLIND_LINE = (
    "monitor_blind: the GPUs can be read (fires when unreadable for 60 s and 3 polls),"
    " for 1 min, critical after 10 min"
)


def test_it_names_every_rule_its_value_and_its_threshold(bench):
    """A calm reading is explained rule by rule, the person first."""
    assert bench.evaluator.explain(CALM) == (
        "person: present (test)",
        "email: EMAIL_WHEN=away, cooldown 1 h",
        "",
        BLIND_LINE,
        "",
        "gpu_lost: 4 of 4 GPUs answer (fires when a GPU does not answer in 2 polls), over after 2 min",
        "",
        "gpu_limit: 1 GPU in use (fires when more than 1)",
        "",
        "max_etime: the longest runs for 1 min (fires when longer than 1 h)",
    )


def test_it_says_what_will_be_sent_when_and_why(bench):
    """An alert at the desk: the popup was shown, the mail waits its time."""
    bench.look(BUSY)
    bench.clock.advance(60)
    lines = bench.evaluator.explain(BUSY)
    at = lines.index("  1: warning, firing for 1 min: 2 GPUs in use, the limit is 1")
    assert lines[at + 1 : at + 3] == (
        "     email: not now (at-the-desk): the popup comes first; in 9 min if it still fires",
        "     popup: not now (cooldown): told within the cooldown; in 59 min if it still fires",
    )


def test_it_changes_nothing(bench):
    """Asked ten times about something new, nothing is written, told or counted."""
    before = bench.store.memory()
    for _ in range(10):
        assert any("email: not now (at-the-desk)" in line for line in bench.evaluator.explain(BUSY))
    assert bench.store.memory() == before
    assert bench.history == []
    assert [change.kind.value for change in bench.look(BUSY).changes] == ["fired"]


def test_it_says_what_cannot_be_judged(folder):
    """Missing data and a hold that cron cannot span are named as such."""
    bench = Bench(folder, holds=False, popups=False)
    lines = bench.evaluator.explain(DARK)
    assert "gpu_limit: cannot be judged: driver not loaded" in lines
    not_here = "not judged here: it needs several looks in a row (the tray and `watch` take them)"
    assert f"monitor_blind: {not_here}" in lines
    bench.close()
