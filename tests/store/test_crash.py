"""kill -9 at every step: nothing lost, at most one mail twice, and that one under its own Message-ID."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.store.crashing import PLANS, RANDOM

pytestmark = pytest.mark.skipif(sys.platform not in {"linux", "darwin"}, reason="forks")
ROOT = Path(__file__).parents[2]
# plan -> the kinds of mail that must leave
EXPECTED = {
    "fires": {"alert"},
    "ends": {"resolved"},
    "damaged": {"alert"},
    "version-1": {"alert"},
    "full": {"alert"},
    "backlog": {"digest"},
    "refused": {"alert"},
}


@pytest.mark.parametrize("plan", PLANS)
def test_killed_at_every_step_nothing_is_lost(plan, folder):
    """Whatever dies where, each mail leaves at least once and at most twice, and the heirs go on."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.crashing", plan, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    results = answer["results"]
    assert answer["code"] == 0, "the life that was left alone came to its end"
    steps = len(results) - RANDOM
    assert steps > 30
    doubled = 0
    for result in results:
        where = f"killed at {result['at']}: {result}"
        assert result["heir"] == 0, where
        ids = [name for _, name in result["sent"]]
        assert {kind for kind, _ in result["sent"]} == EXPECTED[plan], where
        mails = 2 if plan == "damaged" else 1  # the one that waited, and the new one
        if plan != "full":  # what was in memory is gone with it, the Message-ID too
            assert len(set(ids)) == mails, where
        assert mails <= len(ids) <= mails + 1, where
        doubled += len(ids) > mails
    print(f"{plan}: {steps} steps, {RANDOM} at any moment: lost 0, doubled {doubled}")
    assert len(results[steps - 1]["sent"]) == mails  # nothing killed, nothing doubled
    if plan == "refused":  # nobody took it before somebody asked for it
        assert doubled == 0
        return
    # Between the server's answer and its record there is no help; nor for what was in memory only.
    assert 0 < doubled < (steps if plan == "full" else 20)
