"""Every check is bounded, and none takes the others with it."""

from __future__ import annotations

import json
import threading
import time

from gpuwatch_tray.doctor import Check, CheckResult, CheckState, examine
from gpuwatch_tray.doctor.output import ok, problem, results_json, results_text, warning
from tests.support.timing import slowness


def test_a_check_that_hangs_is_a_line(request):
    """What does not come back in its time is a problem with its mend; the others are told."""
    release = threading.Event()
    request.addfinalizer(release.set)

    def hang():
        release.wait(20)
        return ()

    began = time.monotonic()
    checks = [
        Check("driver", hang, 0.1, "it does not answer", "reboot"),
        Check("log", lambda: [ok("log", "f")]),
    ]
    assert examine(checks) == (
        problem("driver", "it does not answer within 0.1 s", "reboot"),
        ok("log", "f"),
    )
    assert time.monotonic() - began < 5 * slowness()


def test_all_hang_at_the_same_time(request):
    """Ten that hang take the time of one."""
    release = threading.Event()
    request.addfinalizer(release.set)

    def hang():
        release.wait(20)
        return ()

    began = time.monotonic()
    assert len(examine([Check(str(n), hang, 1.0) for n in range(10)])) == 10
    assert time.monotonic() - began < 5 * slowness()


def test_a_check_that_fails_says_so_without_the_secret():
    """An error of a check is a problem of its topic, and its text is redacted."""

    def fail():
        raise ValueError("--password hunter2")

    (line,) = examine([Check("mail", fail)])
    assert (line.state, line.topic) == (CheckState.PROBLEM, "mail")
    assert "ValueError" in line.text
    assert "hunter2" not in line.text


def test_the_lines_as_text_and_json():
    """Each line with its mend below it and the sum; JSON has the same and the worst state."""
    lines = (ok("a", "fine"), warning("long topic", "look", "do this"), ok("b", "fine"))
    assert list(results_text(lines)) == [
        "ok       a           fine",
        "WARNING  long topic  look",
        "                     fix: do this",
        "ok       b           fine",
        "",
        "0 problems, 1 warning",
    ]
    answer = json.loads(json.dumps(results_json(lines, host="box", version="1", at=7.0)))
    assert answer["state"] == "warning"
    assert answer["lines"][1] == {
        "state": "warning",
        "topic": "long topic",
        "text": "look",
        "mend": "do this",
    }


def test_on_a_terminal_a_long_text_goes_on_in_its_own_column():
    """No word is broken, and the eye still finds the topics; so with the mend."""
    lines = (ok("a", "one two three four"), problem("b", "five", "six seven eight nine"))
    assert list(results_text(lines, columns=26))[:5] == [
        "ok       a  one two three",
        "            four",
        "PROBLEM  b  five",
        "            fix: six seven",
        "            eight nine",
    ]


def worst(results):
    return results_json(results, host="box", version="1", at=0.0)["state"]


def test_the_worst_state_counts():
    """No line is ok, and a problem is worse than a warning whatever their order."""
    assert worst(()) == "ok"
    assert worst((problem("a", ""), warning("b", ""))) == "problem"
    assert worst((CheckResult(CheckState.WARNING, "a", ""), ok("b", ""))) == "warning"
