"""Popups whose answers come late: none beside it, each asker told once, and what is over stays away."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import Popup, Severity
from gpuwatch_tray.notify import one_at_a_time
from gpuwatch_tray.notify.one_at_a_time import OneAtATime
from tests.support.timing import wait_until

LIMIT = Popup("limit", "GPU limit", "3 GPUs", Severity.WARNING)
LOST = replace(LIMIT, key="lost", title="GPU lost")


class Desktop:
    """A way whose answers the test gives; it notes what was started and closed."""

    def __init__(self):
        self.started, self.answers, self.closed = [], [], []
        self.told = []
        self.popups = OneAtATime(self._start, self.closed.append)

    def _start(self, popup):
        self.started.append(popup)
        self.answers.append(Future())
        return self.answers[-1]

    def show(self, popup, name=""):
        return self.popups.show(popup, lambda shown: self.told.append((name or popup.key, shown)))

    def answer(self, number, shown):
        wait_until(lambda: len(self.answers) > number, f"popup {number}")
        self.answers[number].set_result(shown)


@pytest.fixture
def desktop(monkeypatch):
    monkeypatch.setattr(one_at_a_time, "POPUP_TIMEOUT", 0.02)
    return Desktop()


@pytest.mark.parametrize("shown", [True, False])
def test_a_late_answer_is_told_when_it_comes(desktop, shown):
    """Until then the popup counts as shown."""
    assert desktop.show(LIMIT)
    assert desktop.told == []
    desktop.answer(0, shown)
    wait_until(lambda: desktop.told == [("limit", shown)], "the answer")


def test_of_one_key_the_last_follows_and_tells_for_all_that_it_replaces(desktop):
    """Nothing is started beside the first, whose failure is not told as another takes its place."""
    for count in range(3):
        assert desktop.show(replace(LIMIT, body=f"{count} GPUs"), f"asker {count}")
    assert desktop.show(LOST)
    assert len(desktop.started) == 1
    desktop.answer(0, shown=False)
    desktop.answer(1, shown=True)
    desktop.answer(2, shown=False)
    wait_until(lambda: len(desktop.told) == 4, "all answers")
    assert [popup.body for popup in desktop.started] == ["0 GPUs", "2 GPUs", "3 GPUs"]
    assert sorted(desktop.told) == [("asker 0", True), ("asker 1", True), ("asker 2", True), ("lost", False)]


def test_what_is_closed_before_it_is_answered_tells_nobody_and_goes_when_it_comes(desktop):
    """One that waits is not even started."""
    desktop.show(LIMIT)
    desktop.show(LOST)
    desktop.popups.close("limit")
    desktop.popups.close("lost")
    desktop.answer(0, shown=True)
    wait_until(lambda: desktop.closed == ["lost", "limit"], "the closing")
    assert (desktop.told, len(desktop.started)) == ([], 1)


def test_what_is_not_answered_yet_can_be_named(desktop):
    """So that all popups of a lab can be withdrawn, whichever of them is on the screen already."""
    desktop.show(LIMIT)
    desktop.show(LOST)
    assert desktop.popups.unanswered_keys() == ("limit", "lost")
    desktop.answer(0, shown=True)
    desktop.answer(1, shown=True)
    wait_until(lambda: desktop.popups.unanswered_keys() == (), "no popup without an answer")


def test_one_that_is_wanted_again_is_not_closed(desktop):
    """An alert that ends and begins anew while nobody answers has a popup."""
    desktop.show(LIMIT, "first")
    desktop.popups.close("limit")
    desktop.show(LIMIT, "second")
    desktop.answer(0, shown=True)
    desktop.answer(1, shown=True)
    wait_until(lambda: ("second", True) in desktop.told, "the second")
    assert desktop.closed == []


def test_a_connection_that_is_lost_is_a_failure(desktop):
    """The bus cancels what was under way; what waited is tried on what comes after it."""
    desktop.show(LIMIT)
    desktop.show(LOST)
    desktop.answers[0].cancel()
    wait_until(lambda: desktop.told == [("limit", False)], "the failure")
    desktop.answer(1, shown=True)
    wait_until(lambda: desktop.told[1:] == [("lost", True)], "the other")


def test_after_the_end_nothing_is_shown_and_nobody_told(desktop):
    """The program is going: what it would do with the answer is gone."""
    desktop.show(LIMIT)
    desktop.popups.end()
    desktop.answer(0, shown=False)
    assert not desktop.show(LOST)
    assert (desktop.told, len(desktop.started)) == ([], 1)
